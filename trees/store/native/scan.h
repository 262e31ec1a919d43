// Looks at all directories of a tree before anything is made of it: names, depth and number of entries.
#pragma once

#include <memory>
#include <unordered_map>

#include "objects.h"

namespace trees::store {

using SharedBytes = std::shared_ptr<const Bytes>;

// A tree whose directories were all found to be in order. Its objects are kept, as far as they are not too
// many.
class ScannedTree {
public:
  // Throws Failure LAYER_INVALID naming the path, STORE_CORRUPT.
  ScannedTree(const Objects &objects, const Root &root, const Job &job);

  // Files and directories, the root not counted.
  uint64_t entries() const { return entries_; }
  // Safe to call from several threads.
  SharedBytes directory(const Checksum &tree) const;
  const DirMeta &meta(const Checksum &checksum) const { return metas_.at(checksum); }

private:
  struct Summary {
    uint64_t entries = 0;
    // Levels of directories below; kOpen while it is being looked at.
    size_t height = 0;
  };

  Summary visit(const Root &directory, size_t depth);
  void keep_meta(const Checksum &checksum);
  [[noreturn]] void refuse(const std::string &why, std::string_view name = {}) const;

  const Objects &objects_;
  const Job &job_;
  uint64_t entries_ = 0;
  // Names from the root to what is being looked at.
  std::vector<std::string_view> path_;
  size_t kept_ = 0;
  std::unordered_map<Checksum, Summary, ChecksumHash> summaries_;
  std::unordered_map<Checksum, SharedBytes, ChecksumHash> directories_;
  std::unordered_map<Checksum, DirMeta, ChecksumHash> metas_;
};

} // namespace trees::store
