#include "copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace trees::store {

namespace {

constexpr size_t kChunk = 1024 * 1024;
constexpr size_t kKernelChunk = 64 * kChunk;
// The kernel's limits (XATTR_LIST_MAX, XATTR_SIZE_MAX).
constexpr size_t kMaxList = 65536;

ssize_t read_some(int fd, uint8_t *buffer, size_t size, off_t offset) {
  for (;;) {
    const ssize_t count = ::pread(fd, buffer, size, offset);
    if (count >= 0)
      return count;
    if (errno != EINTR)
      throw_errno("cannot read");
  }
}

// False if the two files cannot be copied that way and nothing has been copied.
bool copy_in_kernel(int from, int to, const Job &job) {
  bool some = false;
  for (;;) {
    job.check();
    const ssize_t count = ::copy_file_range(from, nullptr, to, nullptr, kKernelChunk, 0);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0 && !some && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
      return false;
    if (count < 0)
      throw_errno("cannot copy");
    // Some file systems say they are done with files that are not empty (kernel bug 210461 and others).
    if (count == 0)
      return some;
    some = true;
  }
}

void copy_through_memory(int from, int to, const Job &job) {
  Bytes buffer(kChunk);
  for (off_t offset = 0;;) {
    job.check();
    const ssize_t count = read_some(from, buffer.data(), buffer.size(), offset);
    if (count == 0)
      return;
    for (ssize_t done = 0; done < count;) {
      const ssize_t written =
          ::pwrite(to, buffer.data() + done, static_cast<size_t>(count - done), offset + done);
      if (written < 0 && errno != EINTR)
        throw_errno("cannot write");
      if (written > 0)
        done += written;
    }
    offset += count;
  }
}

template <typename List, typename Get, typename Set> void copy_attributes(List list, Get get, Set set) {
  char names[kMaxList];
  const ssize_t length = list(names, sizeof names);
  if (length < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
    return;
  if (length < 0)
    throw_errno("cannot list extended attributes");
  Bytes value;
  for (const char *name = names; name < names + length; name += std::strlen(name) + 1) {
    if (refused_xattr(name))
      continue;
    value.resize(kMaxList);
    const ssize_t size = get(name, value.data(), value.size());
    // Gone meanwhile.
    if (size < 0 && errno == ENODATA)
      continue;
    if (size < 0)
      throw_errno(std::string("cannot read the extended attribute ") + name);
    if (set(name, value.data(), static_cast<size_t>(size)) != 0)
      throw_errno(std::string("cannot set the extended attribute ") + name);
  }
}

std::string in_directory(int directory, const char *name) {
  return "/proc/self/fd/" + std::to_string(directory) + "/" + name;
}

} // namespace

void copy_content(int from, int to, const Job &job) {
  if (::ioctl(to, FICLONE, from) == 0)
    return;
  if (!copy_in_kernel(from, to, job))
    copy_through_memory(from, to, job);
}

void copy_xattrs(int from, int to) {
  copy_attributes(
      [from](char *names, size_t size) { return ::flistxattr(from, names, size); },
      [from](const char *name, void *value, size_t size) { return ::fgetxattr(from, name, value, size); },
      [to](const char *name, const void *value, size_t size) {
        return ::fsetxattr(to, name, value, size, 0);
      });
}

void copy_link_xattrs(int from, const char *from_name, int to, const char *to_name) {
  const std::string source = in_directory(from, from_name);
  const std::string target = in_directory(to, to_name);
  copy_attributes([&source](char *names, size_t size) { return ::llistxattr(source.c_str(), names, size); },
                  [&source](const char *name, void *value, size_t size) {
                    return ::lgetxattr(source.c_str(), name, value, size);
                  },
                  [&target](const char *name, const void *value, size_t size) {
                    return ::lsetxattr(target.c_str(), name, value, size, 0);
                  });
}

bool same_content(int a, int b, const Job &job) {
  Bytes one(kChunk / 8);
  Bytes other(kChunk / 8);
  for (off_t offset = 0;;) {
    job.check();
    const ssize_t count = read_some(a, one.data(), one.size(), offset);
    for (ssize_t have = 0; have < count;) {
      const ssize_t more =
          read_some(b, other.data() + have, static_cast<size_t>(count - have), offset + have);
      if (more == 0)
        return false;
      have += more;
    }
    if (count == 0)
      return read_some(b, other.data(), 1, offset) == 0;
    if (std::memcmp(one.data(), other.data(), static_cast<size_t>(count)) != 0)
      return false;
    offset += count;
  }
}

std::string link_target(int directory, const char *name) {
  char target[PATH_MAX];
  const ssize_t length = ::readlinkat(directory, name, target, sizeof target);
  if (length < 0)
    throw_errno("cannot read a symbolic link");
  return {target, static_cast<size_t>(length)};
}

} // namespace trees::store
