#include "place.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <random>

namespace trees::store {

namespace {

constexpr struct timespec kTimes[2] = {{0, UTIME_OMIT}, {0, 0}};

// A name beside the others that nobody else uses; `co-` is what trees/store/files.ts calls those of a
// checkout.
std::string temporary_name() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  char name[32];
  std::snprintf(name, sizeof name, ".co-%012llx",
                static_cast<unsigned long long>(random() & 0xffffffffffffULL));
  return name;
}

[[noreturn]] void conflict(const std::string &why) {
  throw Failure("PATH_CONFLICT", why);
}

const char *kind_of(mode_t mode) {
  return S_ISLNK(mode) ? "a symbolic link" : S_ISREG(mode) ? "a file" : "a special file";
}

// Failures say at which path; the code decides what TypeScript makes of it.
template <typename Work> auto at(const Directory &directory, std::string_view name, Work work) {
  try {
    return work();
  } catch (Failure &failure) {
    if (failure.code == "CANCELLED" || failure.details.contains("path"))
      throw;
    const std::string path = name.empty() ? directory.path() : join_path(directory.path(), name);
    failure.details.emplace("path", path);
    throw Failure(failure.code, std::string(failure.what()) + " (" + quoted(path) + ")", failure.details);
  }
}

} // namespace

std::string Directory::path() const {
  return parent ? join_path(parent->path(), name) : "/";
}

void Placed::add(Placed &&other) {
  files += other.files;
  size += other.size;
  placed += other.placed;
  same += other.same;
  kept.insert(kept.end(), std::make_move_iterator(other.kept.begin()),
              std::make_move_iterator(other.kept.end()));
}

Fd duplicate(int fd) {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy)
    throw_errno("cannot use the target directory");
  return copy;
}

void Placer::file(const Directory &directory, const FileEntry &entry, Placed &placed) {
  at(directory, entry.name, [&] {
    const Wanted wanted = source_.look(entry.checksum);
    placed.files++;
    if (!wanted.symlink())
      placed.size += static_cast<uint64_t>(wanted.status.st_size);
    // The name is followed by its NUL in the object.
    const char *name = entry.name.data();
    if (put(wanted, directory.fd.get(), name)) {
      placed.placed++;
    } else if (options_.merge) {
      meet(directory, name, wanted, placed);
    } else {
      errno = EEXIST;
      throw_errno("cannot create the file");
    }
  });
}

// Makes a new entry; false if there is one of that name.
bool Placer::put(const Wanted &wanted, int directory, const char *name) {
  if (wanted.shared && !options_.copy)
    return source_.link(wanted, directory, name);
  if (!options_.merge || wanted.symlink() || wanted.status.st_size == 0)
    return source_.create(wanted, directory, name);
  // In a directory that others see, the name comes when the content is there.
  struct stat found;
  if (::fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0)
    return false;
  const std::string temporary = temporary_name();
  if (!source_.create(wanted, directory, temporary.c_str()))
    conflict("its temporary name is taken");
  const int linked = ::linkat(directory, temporary.c_str(), directory, name, 0);
  const int number = errno;
  if (linked != 0 && number != EEXIST && ::renameat(directory, temporary.c_str(), directory, name) == 0)
    return true; // a file system without hard links
  ::unlinkat(directory, temporary.c_str(), 0);
  errno = number;
  if (linked != 0 && number != EEXIST)
    throw_errno("cannot create the file");
  return linked == 0;
}

// Something is where a file belongs.
void Placer::meet(const Directory &directory, const char *name, const Wanted &wanted, Placed &placed) {
  struct stat found;
  if (::fstatat(directory.fd.get(), name, &found, AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno("cannot look at what is there");
  // With `force` a file that only looks the same becomes a link, too.
  const bool itself =
      wanted.shared && found.st_ino == wanted.status.st_ino && found.st_dev == wanted.status.st_dev;
  const bool linking = wanted.shared && !options_.copy && options_.force;
  if (itself ? !(options_.copy && options_.force)
             : !linking && source_.is_same(wanted, directory.fd.get(), name, found)) {
    placed.same++;
  } else if (!options_.force) {
    placed.kept.push_back(join_path(directory.path(), name).substr(1));
  } else if (S_ISDIR(found.st_mode)) {
    conflict("a directory is where a file belongs");
  } else {
    replace(wanted, directory.fd.get(), name);
    placed.placed++;
  }
}

// By way of a temporary name, so that the path always holds the old or the new file.
void Placer::replace(const Wanted &wanted, int directory, const char *name) {
  const std::string temporary = temporary_name();
  const bool made = wanted.shared && !options_.copy ? source_.link(wanted, directory, temporary.c_str())
                                                    : source_.create(wanted, directory, temporary.c_str());
  if (!made)
    conflict("its temporary name is taken");
  if (::renameat(directory, temporary.c_str(), directory, name) == 0)
    return;
  const int number = errno;
  ::unlinkat(directory, temporary.c_str(), 0);
  errno = number;
  throw_errno("cannot replace the file");
}

DirectoryPtr Placer::directory(const DirectoryPtr &parent, const DirEntry &entry, const DirMeta &meta) {
  return at(*parent, entry.name, [&] {
    const char *name = entry.name.data();
    auto directory = std::make_shared<Directory>(parent, entry.name);
    directory->meta = &meta;
    directory->created = make_directory(*parent, name);
    // One that was there may be closed to us for reading; nothing is read from it.
    const int access = directory->created ? O_RDONLY : O_PATH;
    directory->fd = Fd(::openat(parent->fd.get(), name, access | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory->fd) {
      if (errno == ELOOP || errno == ENOTDIR)
        conflict("it was replaced while the checkout ran");
      throw_errno("cannot open the directory");
    }
    return directory;
  });
}

// True if it was made, false if there was one.
bool Placer::make_directory(const Directory &parent, const char *name) {
  const int fd = parent.fd.get();
  if (::mkdirat(fd, name, 0700) == 0)
    return true;
  if (errno != EEXIST || !options_.merge)
    throw_errno("cannot create the directory");
  struct stat found;
  if (::fstatat(fd, name, &found, AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno("cannot look at what is there");
  if (S_ISDIR(found.st_mode))
    return false;
  if (!options_.force)
    conflict(std::string(kind_of(found.st_mode)) + " is where a directory belongs");
  if (::unlinkat(fd, name, 0) != 0)
    throw_errno("cannot remove what is there");
  if (::mkdirat(fd, name, 0700) != 0)
    throw_errno("cannot create the directory");
  return true;
}

void Placer::finish(Directory &directory) {
  const Fd fd = std::move(directory.fd);
  // Names were all used.
  directory.tree = {};
  directory.bytes.reset();
  if (!directory.created)
    return;
  at(directory, "", [&] {
    const DirMeta &meta = *directory.meta;
    if (!options_.user) {
      if (::fchown(fd.get(), meta.uid, meta.gid) != 0)
        throw_errno("cannot set the owner");
      for (const Xattr &xattr : meta.xattrs)
        if (::fsetxattr(fd.get(), xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0) != 0)
          throw_errno("cannot set the extended attribute " + xattr.name);
    }
    if (::fchmod(fd.get(), meta.mode & 07777) != 0)
      throw_errno("cannot set the mode");
    if (::futimens(fd.get(), kTimes) != 0)
      throw_errno("cannot set the time");
  });
}

} // namespace trees::store
