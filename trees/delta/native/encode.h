// Creates a bundle from two commits of a repository.
#pragma once

#include "bundle_writer.h"

namespace trees::delta {

struct EncodeOptions {
  std::string repository;
  std::optional<Checksum> from;
  Checksum to;
  int fd;                // output, empty
  std::string temporary; // directory for spilled buffers
  bool small = false;
  bool quick = false;
  int level = 0; // zstd; 0 chooses
  unsigned threads = 0;
};

BundleStats encode(const EncodeOptions &options, Job &job);

} // namespace trees::delta
