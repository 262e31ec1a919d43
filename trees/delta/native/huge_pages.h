// Memory for the tables of compressors, which are read at random: most of that time goes into looking up
// pages, unless they are huge.
#pragma once

#include <lzma.h>
// Its way to give a context memory of one's own is exported by the library, but declared with this only.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

namespace trees::delta {

// What liblzma and zstd allocate with. Large pieces are in huge pages where the kernel has them on request.
const lzma_allocator *huge_pages_for_lzma();
ZSTD_customMem huge_pages_for_zstd();

} // namespace trees::delta
