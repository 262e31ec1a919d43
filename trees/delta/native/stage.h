// A directory of objects that are about to enter a repository, all at once.
#pragma once

#include "repo.h"

namespace trees::delta {

// Attributes of a file object, as the part that brings it gives them.
struct FileAttributes {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t mode = 0;
  View xattrs; // serialized `a(ayay)`, which outlives the use of this
};

// Objects are written into a directory of their own below the repository's `tmp` and renamed into `objects`
// when everything about them has been verified. libostree's own staging directories are taken over by the
// next transaction after a crash, unverified; ours never are: a directory whose writer is gone is deleted.
// Every object that gets this far had its checksum verified, so even a publish that is cut short leaves only
// objects that are what their names say.
class Stage {
public:
  explicit Stage(const Repo &repo);
  Stage(const Stage &) = delete;
  Stage &operator=(const Stage &) = delete;
  // Deletes what was not published.
  ~Stage();

  // An empty file to write a regular file's content to, and what `seal` needs to finish it. -1 if another
  // thread brings the same object. Throws UNSUPPORTED for what the repository's mode cannot hold.
  Fd create(const Checksum &checksum, const FileAttributes &attributes);
  void seal(int fd, const FileAttributes &attributes) const;
  void symlink(const Checksum &checksum, const FileAttributes &attributes, const std::string &target);
  void metadata(OstreeObjectType type, const Checksum &checksum, View content);
  // The commit and its detached metadata, which may be empty: published after everything else.
  void commit(const Checksum &checksum, View content, View detached);

  // Reserves space for so many bytes in a file; throws NO_SPACE where the repository's minimum of free space
  // would be touched.
  void reserve(uint64_t bytes);
  // Throws NO_SPACE unless so many bytes could be reserved.
  void require(uint64_t bytes) const;

  // A metadata object in here; throws IO if it is not.
  VariantPtr load(OstreeObjectType type, const Checksum &checksum) const;

  // Puts everything into `objects`, contents before names, the commit last. What is there already stays.
  void publish();

private:
  void lock_directory();
  void delete_stale() const;
  void make_prefix(const Checksum &checksum);
  Fd create_file(const std::string &name, uint32_t mode, bool &exists) const;
  void write_file(const std::string &name, View content, bool may_exist);
  void set_xattrs(int fd, const std::string &name, View xattrs) const;
  void publish_prefix(const std::string &prefix) const;
  void rename_into_objects(const std::string &from, const std::string &to) const;

  const Repo &repo_;
  OstreeRepoMode mode_;
  std::string name_; // below the repository
  std::string path_;
  Fd directory_;
  Fd objects_;
  uint32_t umask_ = 0;
  uint32_t owner_ = 0;
  uint32_t group_ = 0;
  bool sync_ = true;
  std::array<std::atomic<bool>, 256> prefixes_{};
  std::atomic<int64_t> free_{0};
  uint64_t block_ = 4096;
  std::string commit_name_;
  bool has_commit_ = false;
  bool has_detached_ = false;
};

// `xx/rest.type`, the name of an object below `objects`.
std::string object_name(OstreeObjectType type, const Checksum &checksum);

} // namespace trees::delta
