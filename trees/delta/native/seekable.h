// The zstd seekable format's seek table: a skippable frame at the end of the file.
// Format: contrib/seekable_format/zstd_seekable_compression_format.md of zstd.
#pragma once

#include "support.h"

namespace trees::delta {

struct Frame {
  uint64_t offset;     // in the file
  uint64_t size;       // compressed bytes
  uint64_t raw_offset; // in the decompressed stream
  uint64_t raw_size;
};

constexpr size_t SEEK_FOOTER_SIZE = 9;

Bytes seek_table(const std::vector<Frame> &frames);

// Size of the whole skippable frame, from its last SEEK_FOOTER_SIZE bytes; 0 if that is not a seek table.
uint64_t seek_table_size(View footer);
// `table` is the whole skippable frame, `file_size` the size of the file that it ends. Throws BUNDLE_CORRUPT.
std::vector<Frame> parse_seek_table(View table, uint64_t file_size);

} // namespace trees::delta
