// Applies a bundle to a repository, within one transaction.
#pragma once

#include "superblock.h"

namespace trees::delta {

// A bundle whose superblock has been read and validated.
struct OpenBundle {
  // Throws BUNDLE_CORRUPT if the file's SHA-256 is not `sha256`.
  OpenBundle(const std::string &path, const std::string &temporary, const std::optional<Checksum> &sha256,
             const Job &job);
  Source source;
  Superblock block;
};

struct ApplyOptions {
  std::string repository;
  std::string ref; // empty: none
  unsigned threads = 0;
};

struct ApplyStats {
  uint64_t objects = 0;
  uint64_t bytes = 0;
};

// Throws Failure; the repository's objects and refs are as before then.
ApplyStats apply(const OpenBundle &bundle, const ApplyOptions &options, Job &job);

} // namespace trees::delta
