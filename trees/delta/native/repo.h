// Reading an OSTree repository: metadata objects, file headers and file content.
#pragma once

#include "blob.h"
#include "support.h"

namespace trees::delta {

struct FileMeta {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mode = 0;
  uint64_t size = 0;
  bool symlink = false;
  std::string target;
  // Serialized `a(ayay)`, sorted as libostree stores it.
  Bytes xattrs;
};

struct TreeFile {
  Checksum checksum;
  // First path it was found at, without a leading slash.
  std::string path;
};

struct Tree {
  std::vector<TreeFile> files;
  std::vector<Checksum> dirtrees;
  std::vector<Checksum> dirmetas;
};

class Repo {
public:
  static Repo open(const std::string &path, GCancellable *cancellable);

  OstreeRepo *get() const { return repo_.get(); }
  const std::string &path() const { return path_; }
  bool has(OstreeObjectType type, const Checksum &checksum) const;
  VariantPtr load(OstreeObjectType type, const Checksum &checksum) const;
  // Throws Failure STORE_CORRUPT if the object is missing or unreadable.
  FileMeta file_meta(const Checksum &checksum) const;
  // Content of a regular file.
  Blob content(const Checksum &checksum) const;
  // Detached metadata `a{sv}`, or null.
  VariantPtr detached(const Checksum &commit) const;
  // Every object of a commit but the commit itself, each once, depth first in name order.
  Tree walk(const Checksum &commit, const Job &job) const;

private:
  std::string path_;
  ObjectPtr<OstreeRepo> repo_;
  // Its objects are files of their own in its own directory, so that looking for one is one system call.
  bool plain_ = false;
};

const char *type_name(OstreeObjectType type);

} // namespace trees::delta
