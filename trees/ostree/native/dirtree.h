// A loaded and validated dirtree object, and the root of a commit.
#pragma once

#include <string>

#include "glib-ptr.h"

class DirTree {
public:
  // Throws GlibError when the object is missing or malformed (names with slashes, say).
  DirTree(OstreeRepo *repo, const std::string &checksum);

  size_t FileCount() const { return g_variant_n_children(files_.get()); }
  size_t DirCount() const { return g_variant_n_children(dirs_.get()); }
  std::string FileName(size_t index) const;
  std::string FileChecksum(size_t index) const;
  std::string DirName(size_t index) const;
  std::string DirChecksum(size_t index) const;
  std::string DirMeta(size_t index) const;

private:
  Ref<GVariant> files_;
  Ref<GVariant> dirs_;
};

struct CommitRoot {
  std::string commit;
  std::string tree;
  std::string meta;
};
// Resolves a revision and reads what its tree is.
CommitRoot LoadRoot(OstreeRepo *repo, const std::string &rev);
