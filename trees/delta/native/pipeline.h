// Reads a bundle from its first byte to its last, once: hashes what it reads, decompresses the same bytes and
// hands the parts to workers, in bounded memory. The file may still be growing.
#pragma once

#include <functional>

#include "arrival.h"
#include "source.h"
#include "superblock.h"

namespace trees::delta {

struct PipelineOptions {
  const Source &source;
  const Superblock &block;
  // The file; what of it has arrived.
  int fd;
  Arrival &arrival;
  // Checked at the end.
  std::optional<Checksum> sha256;
  unsigned threads;
  // Parts that need not be decompressed.
  const std::vector<bool> &skip;
};

// What a worker gets: an element of the superblock's metadata.
struct PartEntry {
  size_t index;
  View bytes;
  const Blob &backing; // what they lie in, if that is no memory of the pipeline's own
  uint8_t *scratch;    // the same bytes, if they may be overwritten, else null
};
using UsePart = std::function<void(const PartEntry &)>;

// Calls `use` for each part that is not skipped, on several threads. Throws the first failure; if the file is
// not what its digest says that is the failure, whatever came of it first.
void run_pipeline(const PipelineOptions &options, const UsePart &use, Job &job);

} // namespace trees::delta
