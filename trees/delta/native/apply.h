// Applies a bundle to a repository, within one transaction.
#pragma once

#include "arrival.h"
#include "superblock.h"

namespace trees::delta {

// A bundle whose superblock has been read and validated.
struct OpenBundle {
  // A file that is there as a whole. With `sha256` it must have that digest: `apply` checks it over the same
  // bytes that it decompresses, before anything enters the repository.
  OpenBundle(const std::string &path, const std::string &temporary, const std::optional<Checksum> &sha256,
             const Job &job);
  // A file that is still arriving, of which the last bytes are known. Throws TAIL_SHORT.
  OpenBundle(uint64_t file_size, Bytes tail, const std::string &temporary, const Checksum &sha256,
             const Job &job);
  Source source;
  Superblock block;
  std::optional<Checksum> sha256;
  Arrival arrival;
};

// Throws BUNDLE_CORRUPT unless the file has that SHA-256.
void check_digest(const std::string &path, const Checksum &sha256, const Job &job);

struct PartSelection {
  std::vector<size_t> parts;
  bool commit; // the commit object as well
};

struct ApplyOptions {
  std::string repository;
  std::string ref;                    // empty: none
  std::shared_ptr<const Fd> arriving; // the file that is being downloaded; null: the one that was opened
  unsigned threads = 0;
  // Only these, whether or not the commit is whole then; no ref is set.
  std::optional<PartSelection> only;
};

struct ApplyStats {
  uint64_t objects = 0;
  uint64_t bytes = 0;
};

// Throws Failure; the repository's objects and refs are as before then.
ApplyStats apply(OpenBundle &bundle, const ApplyOptions &options, Job &job);

} // namespace trees::delta
