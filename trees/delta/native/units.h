// Which bytes of a bundle are read, and decompressed, together.
#pragma once

#include "budget.h"
#include "source.h"
#include "superblock.h"

namespace trees::delta {

// Parts that are read together, because they share frames. Most are one part in one frame.
struct Unit {
  uint64_t offset = 0; // in the file
  uint64_t size = 0;
  uint64_t raw_offset = 0; // in the static delta
  uint64_t raw_size = 0;
  size_t first_frame = 0;
  size_t frames = 0; // 0: a plain delta, stored as it is
  std::vector<size_t> parts;

  bool large() const { return raw_size > MEMORY_LIMIT || size > MEMORY_LIMIT; }
};

// Bytes of the file, for the worker that decompresses them and for the digest: whoever has them last frees
// them.
struct Compressed {
  Charge charge;
  Buffer bytes;
};

// A unit whose bytes have been read.
struct Loaded {
  // For what is not in `compressed`.
  Charge charge;
  const Unit *unit = nullptr;
  std::shared_ptr<const Compressed> compressed;
  // If there is nothing to decompress, or that is done already: in memory or in a file.
  Buffer raw_buffer;
  std::shared_ptr<const Blob> raw;
};

// In the order of the file, without the parts that are skipped.
std::vector<Unit> units_of(const Source &source, const Superblock &block, const std::vector<bool> &skip);

} // namespace trees::delta
