#include "source.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "copy.h"

namespace trees::store {

namespace {

constexpr const char *kUserMeta = "user.ostreemeta";
// Open files that are kept for objects that cannot be linked any more; beyond that each is copied every time.
constexpr size_t kMaxCopies = 64;
// Objects have a time of 0, so that all link trees are the same.
constexpr struct timespec kTimes[2] = {{0, UTIME_OMIT}, {0, 0}};

FileMeta read_user_meta(int fd, const Wanted &wanted) {
  Bytes bytes(65536);
  const ssize_t size = ::fgetxattr(fd, kUserMeta, bytes.data(), bytes.size());
  if (size < 0 && errno == ENODATA)
    object_corrupt(ObjectType::kFile, wanted.checksum, "it has no owner and mode (user.ostreemeta)");
  if (size < 0)
    throw_errno("cannot read owner and mode of object " + wanted.checksum.hex());
  try {
    return parse_filemeta({bytes.data(), static_cast<size_t>(size)});
  } catch (const Malformed &error) {
    object_corrupt(ObjectType::kFile, wanted.checksum, error.what());
  }
}

[[noreturn]] void refuse_type(mode_t mode) {
  const char *what = S_ISBLK(mode) || S_ISCHR(mode) ? "a device node"
                     : S_ISFIFO(mode)               ? "a FIFO"
                     : S_ISSOCK(mode)               ? "a socket"
                                                    : "neither a file nor a symbolic link";
  throw Failure("LAYER_INVALID", std::string("it is ") + what);
}

[[noreturn]] void link_failed() {
  const int number = errno;
  if (number == EXDEV)
    throw Failure("STORE_UNUSABLE", "it and the objects of the repository are on different file systems",
                  {{"reason", "EXDEV"}});
  if (number == EPERM)
    throw Failure("STORE_UNUSABLE",
                  "hard links are not permitted: the file system has none, or the object is immutable",
                  {{"reason", "EPERM"}});
  errno = number;
  throw_errno("cannot link");
}

} // namespace

FileSource::FileSource(const Objects &objects, bool user, const Job &job)
    : objects_(objects), user_(user), owners_(::geteuid() == 0), job_(job) {}

Wanted FileSource::look(const Checksum &checksum) const {
  Wanted wanted(checksum);
  if (::fstatat(objects_.directory(), wanted.path.c_str(), &wanted.status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT)
      object_corrupt(ObjectType::kFile, checksum, "it is missing");
    throw_errno("cannot look at object " + checksum.hex());
  }
  wanted.mode = wanted.status.st_mode;
  if (!S_ISREG(wanted.mode) && (user_ || !S_ISLNK(wanted.mode)))
    refuse_type(wanted.mode);
  wanted.shared = S_ISLNK(wanted.mode) || wanted.status.st_size > 0;
  // A bare-user repository keeps a symlink's target as content, so larger files are no symlinks.
  if (!user_ || wanted.status.st_size > PATH_MAX)
    return wanted;
  const Fd fd = open_object(wanted);
  const FileMeta meta = read_user_meta(fd.get(), wanted);
  if (S_ISLNK(meta.mode)) {
    wanted.target.resize(static_cast<size_t>(wanted.status.st_size));
    const ssize_t size = ::pread(fd.get(), wanted.target.data(), wanted.target.size(), 0);
    // libostree writes the NUL that ends it, too.
    if (!wanted.target.empty() && wanted.target.back() == '\0')
      wanted.target.pop_back();
    if (size != wanted.status.st_size || wanted.target.empty() ||
        wanted.target.find('\0') != std::string::npos)
      object_corrupt(ObjectType::kFile, checksum, "its content is not the target of a symbolic link");
    wanted.mode = S_IFLNK | 0777;
    wanted.shared = false;
  } else if (!S_ISREG(meta.mode)) {
    refuse_type(meta.mode);
  } else if (!wanted.shared) {
    // What somebody else's root meant by setuid and setgid is not for this user.
    wanted.mode = S_IFREG | (meta.mode & 01777);
  }
  return wanted;
}

bool FileSource::link(const Wanted &wanted, int directory, const char *name) {
  if (::linkat(objects_.directory(), wanted.path.c_str(), directory, name, 0) == 0)
    return true;
  if (errno == EEXIST)
    return false;
  if (errno == EMLINK)
    return link_copy(wanted, directory, name);
  link_failed();
}

bool FileSource::link_copy(const Wanted &wanted, int directory, const char *name) {
  const std::lock_guard<std::mutex> guard(mutex_);
  const auto copy = copies_.find(wanted.checksum);
  if (copy != copies_.end()) {
    const std::string path = "/proc/self/fd/" + std::to_string(copy->second.get());
    if (::linkat(AT_FDCWD, path.c_str(), directory, name, AT_SYMLINK_FOLLOW) == 0)
      return true;
    if (errno == EEXIST)
      return false;
    // The copy has all the links it can have, or there is no /proc: the next one takes its place.
    copies_.erase(copy);
  }
  if (!create(wanted, directory, name))
    return false;
  broken_++;
  if (!wanted.symlink() && copies_.size() < kMaxCopies) {
    Fd fd(::openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (fd)
      copies_.emplace(wanted.checksum, std::move(fd));
  }
  return true;
}

bool FileSource::create(const Wanted &wanted, int directory, const char *name) const {
  return wanted.symlink() ? create_symlink(wanted, directory, name) : create_file(wanted, directory, name);
}

bool FileSource::create_symlink(const Wanted &wanted, int directory, const char *name) const {
  const std::string target = user_ ? wanted.target : link_target(objects_.directory(), wanted.path.c_str());
  if (::symlinkat(target.c_str(), directory, name) != 0) {
    if (errno == EEXIST)
      return false;
    throw_errno("cannot create a symbolic link");
  }
  if (owners_ &&
      ::fchownat(directory, name, wanted.status.st_uid, wanted.status.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno("cannot set the owner");
  if (!user_)
    copy_link_xattrs(objects_.directory(), wanted.path.c_str(), directory, name);
  if (::utimensat(directory, name, kTimes, AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno("cannot set the time");
  return true;
}

bool FileSource::create_file(const Wanted &wanted, int directory, const char *name) const {
  const Fd to(::openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to) {
    if (errno == EEXIST)
      return false;
    throw_errno("cannot create the file");
  }
  try {
    const Fd from = open_object(wanted);
    if (wanted.status.st_size > 0)
      copy_content(from.get(), to.get(), job_);
    // Owner first: chown clears setuid bits and file capabilities.
    if (owners_ && ::fchown(to.get(), wanted.status.st_uid, wanted.status.st_gid) != 0)
      throw_errno("cannot set the owner");
    if (!user_)
      copy_xattrs(from.get(), to.get());
    if (::fchmod(to.get(), wanted.mode & 07777) != 0)
      throw_errno("cannot set the mode");
    if (::futimens(to.get(), kTimes) != 0)
      throw_errno("cannot set the time");
  } catch (...) {
    ::unlinkat(directory, name, 0);
    throw;
  }
  return true;
}

Fd FileSource::open_object(const Wanted &wanted) const {
  Fd fd(::openat(objects_.directory(), wanted.path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd)
    throw_errno("cannot open object " + wanted.checksum.hex());
  return fd;
}

bool FileSource::is_same(const Wanted &wanted, int directory, const char *name,
                         const struct stat &found) const {
  if (wanted.shared && found.st_ino == wanted.status.st_ino && found.st_dev == wanted.status.st_dev)
    return true;
  if ((found.st_mode & S_IFMT) != (wanted.mode & S_IFMT))
    return false;
  if (owners_ && (found.st_uid != wanted.status.st_uid || found.st_gid != wanted.status.st_gid))
    return false;
  if (wanted.symlink())
    return link_target(directory, name) ==
           (user_ ? wanted.target : link_target(objects_.directory(), wanted.path.c_str()));
  if (found.st_mode != wanted.mode || found.st_size != wanted.status.st_size)
    return false;
  if (found.st_size == 0)
    return true;
  const Fd other(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  return other && same_content(open_object(wanted).get(), other.get(), job_);
}

} // namespace trees::store
