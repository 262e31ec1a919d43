#include "objects.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace trees::store {

namespace {

// libostree's own limit for metadata objects (OSTREE_MAX_METADATA_SIZE).
constexpr off_t kMaxSize = 128 * 1024 * 1024;

Bytes read_whole(int fd, ObjectType type, const Checksum &checksum) {
  struct stat status;
  if (::fstat(fd, &status) != 0)
    throw_errno("cannot look at object " + checksum.hex());
  if (!S_ISREG(status.st_mode))
    object_corrupt(type, checksum, "it is not a regular file");
  if (status.st_size > kMaxSize)
    object_corrupt(type, checksum, "it is larger than OSTree allows (128 MiB)");
  Bytes bytes(static_cast<size_t>(status.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(fd, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      throw_errno("cannot read object " + checksum.hex());
    if (count == 0)
      object_corrupt(type, checksum, "it became shorter while it was read");
    done += static_cast<size_t>(count);
  }
  return bytes;
}

} // namespace

const char *type_name(ObjectType type) {
  switch (type) {
  case ObjectType::kCommit:
    return "commit";
  case ObjectType::kDirTree:
    return "dirtree";
  case ObjectType::kDirMeta:
    return "dirmeta";
  case ObjectType::kFile:
    return "file";
  }
  return "";
}

void object_corrupt(ObjectType type, const Checksum &checksum, const std::string &why) {
  const std::string object = checksum.hex() + "." + type_name(type);
  throw Failure("STORE_CORRUPT", "object " + object + " cannot be used: " + why, {{"object", object}});
}

ObjectPath::ObjectPath(const Checksum &checksum, ObjectType type) {
  const std::string hex = checksum.hex();
  std::memcpy(text_, hex.data(), 2);
  text_[2] = '/';
  std::memcpy(text_ + 3, hex.data() + 2, 62);
  text_[65] = '.';
  std::strcpy(text_ + 66, type_name(type));
}

Objects::Objects(const std::vector<std::string> &repositories) {
  for (const std::string &repository : repositories) {
    const std::string path = repository + "/objects";
    Fd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd)
      throw_errno("cannot open " + path);
    directories_.push_back(std::move(fd));
  }
}

Bytes Objects::read(ObjectType type, const Checksum &checksum) const {
  const ObjectPath path(checksum, type);
  for (const Fd &directory : directories_) {
    const Fd fd(::openat(directory.get(), path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (fd)
      return read_whole(fd.get(), type, checksum);
    if (errno != ENOENT)
      throw_errno("cannot open object " + checksum.hex() + "." + type_name(type));
  }
  object_corrupt(type, checksum, "it is missing");
}

Root Objects::root(const Checksum &commit) const {
  const Bytes bytes = read(ObjectType::kCommit, commit);
  try {
    return parse_commit(View(bytes));
  } catch (const Malformed &error) {
    check_intact(ObjectType::kCommit, commit, bytes);
    object_corrupt(ObjectType::kCommit, commit, error.what());
  }
}

void check_intact(ObjectType type, const Checksum &checksum, const Bytes &bytes) {
  if (sha256(View(bytes)) != checksum)
    object_corrupt(type, checksum, "it is damaged, its checksum is another one");
}

} // namespace trees::store
