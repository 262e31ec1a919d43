#include "stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "framing.h"

namespace trees::delta {

namespace {

constexpr const char *PREFIX = "trees-stage-";
constexpr uint32_t PERMISSIONS = 07777;
// What libostree allows in `bare-user` and `bare-user-only` repositories: nothing that gives rights to
// others.
constexpr uint32_t USER_PERMISSIONS = 0775;
constexpr const char *COMMIT_FILE = "commit";
constexpr const char *DETACHED_FILE = "commitmeta";
constexpr const char *USER_METADATA = "user.ostreemeta";

struct DirClose {
  void operator()(DIR *directory) const { ::closedir(directory); }
};
using DirPtr = std::unique_ptr<DIR, DirClose>;

// umask(2) can only be read by changing it, for all threads.
uint32_t read_umask() {
  std::unique_ptr<FILE, int (*)(FILE *)> status(::fopen("/proc/self/status", "re"), ::fclose);
  char line[256];
  unsigned value = 077;
  while (status != nullptr && ::fgets(line, sizeof line, status.get()) != nullptr)
    if (::sscanf(line, "Umask: %o", &value) == 1)
      break;
  return value;
}

bool flag(OstreeRepo *repo, const char *group, const char *key, bool fallback) {
  GErrorSlot error;
  gboolean value = g_key_file_get_boolean(ostree_repo_get_config(repo), group, key, &error);
  return error.get() == nullptr ? value != FALSE : fallback;
}

template <typename Use> void each_entry(int at, const char *name, Use use) {
  Fd fd(::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd)
    throw_errno(std::string("cannot open the directory ") + name);
  DirPtr directory(::fdopendir(fd.get()));
  if (directory == nullptr)
    throw_errno(std::string("cannot read the directory ") + name);
  fd.release();
  for (;;) {
    errno = 0;
    dirent *entry = ::readdir(directory.get());
    if (entry == nullptr && errno != 0)
      throw_errno(std::string("cannot read the directory ") + name);
    if (entry == nullptr)
      return;
    std::string_view text(entry->d_name);
    if (text != "." && text != "..")
      use(std::string(text));
  }
}

Bytes user_metadata(const FileAttributes &attributes) {
  // `(uuua(ayay))`, big-endian: the array is last, so there are no framing offsets.
  Bytes bytes;
  for (uint32_t value : {attributes.uid, attributes.gid, attributes.mode})
    append_big_endian(bytes, value);
  append(bytes, attributes.xattrs.data, attributes.xattrs.size);
  return bytes;
}

} // namespace

std::string object_name(OstreeObjectType type, const Checksum &checksum) {
  std::string name = checksum.hex();
  name.insert(2, 1, '/');
  return name + "." + type_name(type);
}

Stage::Stage(const Repo &repo) : repo_(repo), mode_(ostree_repo_get_mode(repo.get())) {
  delete_stale();
  lock_directory();
  objects_ = Fd(::openat(ostree_repo_get_dfd(repo.get()), "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!objects_)
    throw_errno("cannot open the objects of " + repo.path());
  umask_ = read_umask();
  owner_ = ::geteuid();
  group_ = ::getegid();
  sync_ = flag(repo.get(), "core", "fsync", true);

  struct statvfs space;
  if (::fstatvfs(directory_.get(), &space) != 0)
    throw_errno("cannot find the free space of " + repo.path());
  GErrorSlot error;
  guint64 kept = 0;
  if (!ostree_repo_get_min_free_space_bytes(repo.get(), &kept, &error))
    error.raise("STORE_UNUSABLE", "cannot find how much space is to be kept free in " + repo.path());
  block_ = std::max<uint64_t>(1, space.f_frsize);
  free_ = static_cast<int64_t>(space.f_bavail * block_) - static_cast<int64_t>(kept);
}

Stage::~Stage() {
  if (!directory_)
    return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void Stage::lock_directory() {
  std::string repository = repo_.path();
  for (;;) {
    path_ = repository + "/tmp/" + PREFIX + "XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr)
      throw_errno("cannot create a directory in " + repository + "/tmp");
    directory_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    // Between mkdtemp and flock somebody may have taken it for one whose writer is gone.
    struct stat ours, there;
    if (directory_ && ::flock(directory_.get(), LOCK_EX | LOCK_NB) == 0 &&
        ::fstat(directory_.get(), &ours) == 0 && ::lstat(path_.c_str(), &there) == 0 &&
        ours.st_ino == there.st_ino)
      break;
  }
  if (::fchmod(directory_.get(), 0700) != 0)
    throw_errno("cannot set the permissions of " + path_);
}

void Stage::delete_stale() const {
  int repository = ostree_repo_get_dfd(repo_.get());
  each_entry(repository, "tmp", [&](const std::string &name) {
    if (!name.starts_with(PREFIX))
      return;
    Fd fd(::openat(repository, ("tmp/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
      return;
    std::error_code ignored;
    std::filesystem::remove_all(repo_.path() + "/tmp/" + name, ignored);
  });
}

void Stage::make_prefix(const Checksum &checksum) {
  std::atomic<bool> &made = prefixes_[checksum.bytes[0]];
  if (made)
    return;
  if (::mkdirat(directory_.get(), checksum.hex().substr(0, 2).c_str(), 0777) != 0 && errno != EEXIST)
    throw_errno("cannot create a directory in " + path_);
  made = true;
}

Fd Stage::create_file(const std::string &name, uint32_t mode, bool &exists) const {
  Fd fd(::openat(directory_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  exists = !fd && errno == EEXIST;
  if (!fd && !exists)
    throw_errno("cannot write an object to " + repo_.path());
  return fd;
}

Fd Stage::create(const Checksum &checksum, const FileAttributes &attributes) {
  uint32_t permissions = attributes.mode & PERMISSIONS;
  bool user_only = mode_ == OSTREE_REPO_MODE_BARE_USER_ONLY;
  if (user_only && ((permissions & ~USER_PERMISSIONS) != 0 || attributes.uid != 0 || attributes.gid != 0 ||
                    attributes.xattrs.size != 0))
    throw Failure("UNSUPPORTED",
                  "file " + checksum.hex() +
                      " has an owner, a mode or attributes that a bare-user-only repository cannot hold",
                  {{"object", checksum.hex()}, {"type", "file"}});
  make_prefix(checksum);
  bool exists;
  return create_file(object_name(OSTREE_OBJECT_TYPE_FILE, checksum), permissions & 0777, exists);
}

void Stage::seal(int fd, const FileAttributes &attributes) const {
  uint32_t wanted = attributes.mode & PERMISSIONS, given = wanted & 0777 & ~umask_;
  bool failed = false;
  if (mode_ == OSTREE_REPO_MODE_BARE) {
    bool chown = attributes.uid != owner_ || attributes.gid != group_;
    // Changing the owner takes capabilities away, which are an attribute; setting an ACL changes the mode.
    failed = chown && ::fchown(fd, attributes.uid, attributes.gid) != 0;
    if (!failed && attributes.xattrs.size > 0)
      set_xattrs(fd, "", attributes.xattrs);
    if (!failed && (given != wanted || chown || attributes.xattrs.size > 0))
      failed = ::fchmod(fd, wanted) != 0;
  } else {
    if (mode_ == OSTREE_REPO_MODE_BARE_USER) {
      Bytes metadata = user_metadata(attributes);
      failed = ::fsetxattr(fd, USER_METADATA, metadata.data(), metadata.size(), 0) != 0;
    }
    wanted = S_ISLNK(attributes.mode) ? 0644 : (wanted & USER_PERMISSIONS) | S_IRUSR;
    if (!failed && given != wanted)
      failed = ::fchmod(fd, wanted) != 0;
  }
  // Files of a tree have no times of their own; libostree gives them all this one.
  const timespec times[2] = {{0, 0}, {0, 0}};
  if (failed || ::futimens(fd, times) != 0)
    throw_errno("cannot set the attributes of an object in " + repo_.path());
}

void Stage::set_xattrs(int fd, const std::string &name, View xattrs) const {
  GBytes *bytes = g_bytes_new_static(xattrs.data, xattrs.size);
  VariantPtr list(g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE("a(ayay)"), bytes, FALSE)));
  g_bytes_unref(bytes);
  for (gsize i = 0, count = g_variant_n_children(list.get()); i < count; i++) {
    const char *key;
    GVariant *raw;
    g_variant_get_child(list.get(), i, "(^&ay@ay)", &key, &raw);
    VariantPtr value(raw);
    const void *data = g_variant_get_data(raw);
    gsize size = g_variant_get_size(raw);
    int result = fd >= 0 ? ::fsetxattr(fd, key, data, size, 0)
                         : ::lsetxattr((path_ + "/" + name).c_str(), key, data, size, 0);
    if (result != 0)
      throw_errno(std::string("cannot set the attribute ") + key + " of an object in " + repo_.path());
  }
}

void Stage::symlink(const Checksum &checksum, const FileAttributes &attributes, const std::string &target) {
  make_prefix(checksum);
  std::string name = object_name(OSTREE_OBJECT_TYPE_FILE, checksum);
  if (mode_ == OSTREE_REPO_MODE_BARE_USER) {
    // No symbolic link can carry user attributes: it is a file with the target in it, up to its terminator as
    // libostree writes it.
    bool exists;
    Fd fd = create_file(name, 0644, exists);
    if (exists)
      return;
    write_all(fd.get(), target.c_str(), target.size() + 1);
    return seal(fd.get(), attributes);
  }
  if (::symlinkat(target.c_str(), directory_.get(), name.c_str()) != 0) {
    if (errno == EEXIST)
      return;
    throw_errno("cannot write an object to " + repo_.path());
  }
  if (mode_ != OSTREE_REPO_MODE_BARE)
    return;
  if ((attributes.uid != owner_ || attributes.gid != group_) &&
      ::fchownat(directory_.get(), name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno("cannot set the owner of an object in " + repo_.path());
  if (attributes.xattrs.size > 0)
    set_xattrs(-1, name, attributes.xattrs);
}

void Stage::write_file(const std::string &name, View content, bool may_exist) {
  reserve(content.size);
  bool exists;
  Fd fd = create_file(name, 0644, exists);
  if (exists && may_exist)
    return;
  if (exists)
    throw Failure("INTERNAL", "there is a file " + name + " in " + path_ + " already");
  write_all(fd.get(), content.data, content.size);
  if ((0644 & ~umask_) != 0644 && ::fchmod(fd.get(), 0644) != 0)
    throw_errno("cannot set the permissions of an object in " + repo_.path());
}

void Stage::metadata(OstreeObjectType type, const Checksum &checksum, View content) {
  make_prefix(checksum);
  write_file(object_name(type, checksum), content, true);
}

void Stage::commit(const Checksum &checksum, View content, View detached) {
  commit_name_ = object_name(OSTREE_OBJECT_TYPE_COMMIT, checksum);
  if (content.size > 0) {
    write_file(COMMIT_FILE, content, false);
    has_commit_ = true;
  }
  if (detached.size > 0) {
    write_file(DETACHED_FILE, detached, false);
    has_detached_ = true;
  }
}

void Stage::reserve(uint64_t bytes) {
  auto used = static_cast<int64_t>((bytes + block_ - 1) / block_ * block_);
  if (free_.fetch_sub(used) < used)
    throw Failure("NO_SPACE", "no space left in " + repo_.path() + " for an object of " +
                                  std::to_string(bytes) + " bytes, or less than is to be kept free");
}

void Stage::require(uint64_t bytes) const {
  int64_t left = free_;
  if (left >= 0 && bytes <= static_cast<uint64_t>(left))
    return;
  throw Failure("NO_SPACE", "it needs " + std::to_string(bytes) + " bytes in " + repo_.path() + ", and " +
                                std::to_string(std::max<int64_t>(0, left)) + " are free");
}

VariantPtr Stage::load(OstreeObjectType type, const Checksum &checksum) const {
  std::string name = object_name(type, checksum);
  Fd fd(::openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status;
  if (!fd || ::fstat(fd.get(), &status) != 0)
    throw_errno("cannot read an object in " + path_);
  auto size = static_cast<size_t>(status.st_size);
  auto *data = static_cast<uint8_t *>(g_malloc(std::max<size_t>(1, size)));
  GBytes *bytes = g_bytes_new_take(data, size);
  VariantPtr variant(
      g_variant_ref_sink(g_variant_new_from_bytes(ostree_metadata_variant_type(type), bytes, FALSE)));
  g_bytes_unref(bytes);
  if (read_at(fd.get(), data, size, 0) != size)
    throw Failure("IO", "an object in " + path_ + " shrinks while it is read");
  return variant;
}

void Stage::rename_into_objects(const std::string &from, const std::string &to) const {
  // An object that is there may be linked to from trees: replacing it would only double it.
  if (::renameat2(directory_.get(), from.c_str(), objects_.get(), to.c_str(), RENAME_NOREPLACE) == 0 ||
      errno == EEXIST)
    return;
  if (errno == EINVAL && ::renameat(directory_.get(), from.c_str(), objects_.get(), to.c_str()) == 0)
    return;
  throw_errno("cannot move an object to the objects of " + repo_.path());
}

void Stage::publish_prefix(const std::string &prefix) const {
  // In a new repository whole directories move.
  if (::renameat2(directory_.get(), prefix.c_str(), objects_.get(), prefix.c_str(), RENAME_NOREPLACE) == 0)
    return;
  if (errno != EINVAL && errno != EEXIST)
    throw_errno("cannot move a directory to the objects of " + repo_.path());
  if (errno == EINVAL && ::mkdirat(objects_.get(), prefix.c_str(), 0777) != 0 && errno != EEXIST)
    throw_errno("cannot create a directory in the objects of " + repo_.path());
  std::vector<std::string> names;
  each_entry(directory_.get(), prefix.c_str(),
             [&](const std::string &name) { names.push_back(prefix + "/" + name); });
  for (const std::string &name : names)
    rename_into_objects(name, name);
}

void Stage::publish() {
  // Content must be on disk before a name in `objects` promises it. The names are made durable by libostree,
  // which syncs the file system again before it sets the ref.
  if (sync_ && ::syncfs(directory_.get()) != 0)
    throw_errno("cannot write to disk: " + repo_.path());
  for (unsigned i = 0; i < prefixes_.size(); i++)
    if (prefixes_[i]) {
      Checksum any;
      any.bytes[0] = static_cast<uint8_t>(i);
      publish_prefix(any.hex().substr(0, 2));
    }
  if (!has_commit_ && !has_detached_)
    return;
  std::string prefix = commit_name_.substr(0, 2);
  if (::mkdirat(objects_.get(), prefix.c_str(), 0777) != 0 && errno != EEXIST)
    throw_errno("cannot create a directory in the objects of " + repo_.path());
  // libostree replaces detached metadata, too: they are no object.
  std::string detached = commit_name_ + "meta";
  if (has_detached_ && ::renameat(directory_.get(), DETACHED_FILE, objects_.get(), detached.c_str()) != 0)
    throw_errno("cannot write the commit's detached metadata");
  if (has_commit_)
    rename_into_objects(COMMIT_FILE, commit_name_);
}

} // namespace trees::delta
