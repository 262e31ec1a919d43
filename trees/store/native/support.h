// What the store addon's parts share: failures, descriptors, checksums, the state of work in progress.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trees::store {

using Bytes = std::vector<uint8_t>;

struct View {
  const uint8_t *data = nullptr;
  size_t size = 0;

  View() = default;
  View(const uint8_t *bytes, size_t count) : data(bytes), size(count) {}
  explicit View(const Bytes &bytes) : data(bytes.data()), size(bytes.size()) {}

  View part(size_t start, size_t end) const { return {data + start, end - start}; }
  std::string_view text() const { return {reinterpret_cast<const char *>(data), size}; }
};

// An expected failure. `code` is one of trees/errors.ts, or IO; `details` go into the error's `details`.
class Failure : public std::runtime_error {
public:
  Failure(std::string failure_code, const std::string &message, std::map<std::string, std::string> facts = {})
      : std::runtime_error(message), code(std::move(failure_code)), details(std::move(facts)) {}

  std::string code;
  std::map<std::string, std::string> details;
};

// Throws what errno says, with the code that fits it: NO_SPACE or IO.
[[noreturn]] void throw_errno(const std::string &what);

class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd &operator=(Fd &&other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  void reset();
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_ = -1;
};

struct Checksum {
  std::array<uint8_t, 32> bytes{};

  static Checksum from_bytes(const uint8_t *source) {
    Checksum checksum;
    std::memcpy(checksum.bytes.data(), source, 32);
    return checksum;
  }
  static Checksum from_hex(std::string_view hex);
  std::string hex() const;
  auto operator<=>(const Checksum &) const = default;
};

struct ChecksumHash {
  size_t operator()(const Checksum &checksum) const {
    size_t hash;
    std::memcpy(&hash, checksum.bytes.data(), sizeof hash);
    return hash;
  }
};

Checksum sha256(View bytes);

// What JavaScript sees of work in progress.
struct Job {
  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> total{0};
  std::atomic<bool> cancelled{false};

  void check() const {
    if (cancelled.load(std::memory_order_relaxed))
      throw Failure("CANCELLED", "cancelled");
  }
};

// Deeper than PATH_MAX allows even with one-letter names, so no real tree is refused.
inline constexpr size_t kMaxDepth = 2048;
// Files and directories of one tree. A distribution with everything installed has about a million.
inline constexpr uint64_t kMaxEntries = 4'000'000;

// A name as it can be shown: quoted, with control characters and quotes escaped, cut if it is long.
std::string quoted(std::string_view name);
std::string join_path(const std::string &path, std::string_view name);

} // namespace trees::store
