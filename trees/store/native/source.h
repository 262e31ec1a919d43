// The files of a repository, as they are put into directories.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <mutex>
#include <unordered_map>

#include "objects.h"

namespace trees::store {

// What a file object is, looked at once.
struct Wanted {
  explicit Wanted(const Checksum &object) : checksum(object), path(object, ObjectType::kFile) {}

  bool symlink() const { return S_ISLNK(mode); }

  Checksum checksum;
  ObjectPath path;
  // Of the object.
  struct stat status = {};
  // Of the file in a tree, with its type.
  mode_t mode = 0;
  // Hard links to the object are what a tree has; others are made anew in every tree: empty files, of which
  // there would be more than some file systems can link, and the symlinks that a bare-user repository keeps
  // as files.
  bool shared = false;
  // Of a symlink that is kept as a file.
  std::string target;
};

class FileSource {
public:
  // `user`: the repository is bare-user.
  FileSource(const Objects &objects, bool user, const Job &job);

  // Throws Failure LAYER_INVALID for what is neither file nor symlink, STORE_CORRUPT if it is not there.
  Wanted look(const Checksum &checksum) const;

  // Makes `name`, which does not exist, a hard link to the object. If the file system allows no more of them,
  // one copy is made and linked from then on. False if the name exists. Throws Failure.
  bool link(const Wanted &wanted, int directory, const char *name);
  // Makes `name` a file or symlink of its own. False if the name exists. Throws Failure.
  bool create(const Wanted &wanted, int directory, const char *name) const;

  // Whether `found` at `name` is the object itself, or else has its type, owner, mode and content. Throws
  // Failure.
  bool is_same(const Wanted &wanted, int directory, const char *name, const struct stat &found) const;

  // Files that were made because there can be no more links.
  uint64_t broken() const { return broken_; }

private:
  Fd open_object(const Wanted &wanted) const;
  bool create_symlink(const Wanted &wanted, int directory, const char *name) const;
  bool create_file(const Wanted &wanted, int directory, const char *name) const;
  bool link_copy(const Wanted &wanted, int directory, const char *name);

  const Objects &objects_;
  const bool user_;
  // Only root can give files away.
  const bool owners_;
  const Job &job_;
  std::atomic<uint64_t> broken_{0};
  std::mutex mutex_;
  // Copies of objects that cannot be linked any more.
  std::unordered_map<Checksum, Fd, ChecksumHash> copies_;
};

} // namespace trees::store
