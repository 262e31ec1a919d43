// Compression: zstd frames for the bundle, xz streams for parts of the `small` encoding, SHA-256.
#pragma once

#include <openssl/evp.h>

#include "rope.h"

namespace trees::delta {

class Sha256 {
public:
  Sha256();
  void update(View bytes);
  Checksum finish();
  static Checksum of(View bytes);

private:
  struct Free {
    void operator()(EVP_MD_CTX *context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// One zstd frame with content size and checksum.
Bytes zstd_frame(const Rope &rope, uint64_t offset, uint64_t size, int level, const Job &job);

// One .xz stream: x86 branch filter if `x86`, LZMA2 preset 9e with a dictionary that spans the content,
// CRC64.
Bytes xz_stream(const Rope &rope, bool x86, const Job &job);

// The decompressed bytes of one xz stream, as stock parts have them; at most `limit` bytes. Throws
// BUNDLE_CORRUPT.
Blob decode_xz(View compressed, uint64_t limit, const std::string &temporary, const Job &job);

} // namespace trees::delta
