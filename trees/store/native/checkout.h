// Makes the tree of a commit in a directory, on several threads.
#pragma once

#include "objects.h"

namespace trees::store {

struct CheckoutOptions {
  // The repository, then its parents.
  std::vector<std::string> repositories;
  Checksum commit;
  // The repository is bare-user: owners and extended attributes stay in the repository.
  bool user = false;
  // Open directory that the root's entries go to.
  int directory = -1;
  // The directory is new and gets the root's owner, mode and attributes.
  bool fresh = true;
  // There may be something in the directory: directories are merged, other files kept.
  bool merge = false;
  // With `merge`: files in the way are replaced.
  bool force = false;
  // Copies instead of hard links.
  bool copy = false;
  unsigned threads = 1;
};

struct CheckoutResult {
  // Files and symlinks of the tree, and the bytes of the files; each path counts.
  uint64_t files = 0;
  uint64_t size = 0;
  // Files and symlinks that were put there, or were there already as they should be.
  uint64_t placed = 0;
  uint64_t same = 0;
  // Copied because the file system allows no more links to the object.
  uint64_t broken = 0;
  // Paths of other files that were in the way, relative.
  std::vector<std::string> kept;
};

// Every name is looked at before anything is made. Nothing is ever resolved through the tree: each directory
// is entered from its parent's descriptor without following symlinks. Throws Failure; what was made by then
// stays.
CheckoutResult checkout(const CheckoutOptions &options, Job &job);

} // namespace trees::store
