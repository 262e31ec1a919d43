#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace trees::delta {

void GErrorSlot::raise(const char *code, const std::string &what) const {
  if (error_ == nullptr)
    throw Failure(code, what);
  std::string message = what + ": " + error_->message;
  if (g_error_matches(error_, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    throw Failure("CANCELLED", message);
  if (g_error_matches(error_, G_IO_ERROR, G_IO_ERROR_NO_SPACE) ||
      std::strstr(error_->message, "min-free-space") != nullptr)
    throw Failure("NO_SPACE", message);
  if (g_error_matches(error_, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED))
    throw Failure("IO", message);
  throw Failure(code, message);
}

Checksum checksum_from_variant(GVariant *value) {
  gsize count = 0;
  auto *bytes = static_cast<const uint8_t *>(g_variant_get_fixed_array(value, &count, 1));
  if (count != 32)
    throw Failure("STORE_CORRUPT", "a checksum in a metadata object does not have 32 bytes");
  return Checksum::from_bytes(bytes);
}

void write_all(int fd, const void *data, size_t size) {
  auto *bytes = static_cast<const uint8_t *>(data);
  while (size > 0) {
    ssize_t count = ::write(fd, bytes, size);
    if (count < 0) {
      if (errno == EINTR)
        continue;
      throw_errno("cannot write");
    }
    bytes += count;
    size -= static_cast<size_t>(count);
  }
}

void write_all(int fd, std::span<const View> pieces) {
  std::vector<iovec> left;
  left.reserve(pieces.size());
  for (const View &piece : pieces)
    if (piece.size > 0)
      left.push_back({const_cast<uint8_t *>(piece.data), piece.size});
  for (std::span<iovec> rest(left); !rest.empty();) {
    ssize_t count = ::writev(fd, rest.data(), static_cast<int>(std::min<size_t>(rest.size(), IOV_MAX)));
    if (count < 0) {
      if (errno == EINTR)
        continue;
      throw_errno("cannot write");
    }
    auto written = static_cast<size_t>(count);
    for (; !rest.empty() && written >= rest.front().iov_len; rest = rest.subspan(1))
      written -= rest.front().iov_len;
    if (!rest.empty()) {
      iovec &cut = rest.front();
      cut = {static_cast<uint8_t *>(cut.iov_base) + written, cut.iov_len - written};
    }
  }
}

size_t read_at(int fd, void *data, size_t size, uint64_t offset) {
  auto *bytes = static_cast<uint8_t *>(data);
  size_t total = 0;
  while (total < size) {
    ssize_t count = ::pread(fd, bytes + total, size - total, static_cast<off_t>(offset + total));
    if (count < 0) {
      if (errno == EINTR)
        continue;
      throw_errno("cannot read");
    }
    if (count == 0)
      break;
    total += static_cast<size_t>(count);
  }
  return total;
}

Fd open_temporary(const std::string &directory) {
  Fd fd(::open(directory.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
  if (fd)
    return fd;
  // Not every file system has O_TMPFILE.
  std::string path = directory + "/.trees-delta-XXXXXX";
  fd = Fd(::mkostemp(path.data(), O_CLOEXEC));
  if (!fd)
    throw_errno("cannot create a temporary file in " + directory);
  ::unlink(path.c_str());
  return fd;
}

} // namespace trees::delta
