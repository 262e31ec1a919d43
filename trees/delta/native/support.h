// Types shared by the bundle encoder and decoder: failures, checksums, owning pointers for GLib.
#pragma once

#include <gio/gio.h>
#include <glib.h>
#include <ostree.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace trees::delta {

using Bytes = std::vector<uint8_t>;

struct View {
  const uint8_t *data = nullptr;
  size_t size = 0;

  View() = default;
  View(const uint8_t *bytes, size_t count) : data(bytes), size(count) {}
  explicit View(const Bytes &bytes) : data(bytes.data()), size(bytes.size()) {}

  const uint8_t *end() const { return data + size; }
  std::string_view text() const { return {reinterpret_cast<const char *>(data), size}; }
};

// An expected failure. `code` is one of trees/errors.ts; `details` go into the error's `details`.
class Failure : public std::runtime_error {
public:
  Failure(std::string failure_code, const std::string &message, std::map<std::string, std::string> facts = {})
      : std::runtime_error(message), code(std::move(failure_code)), details(std::move(facts)) {}

  std::string code;
  std::map<std::string, std::string> details;
};

[[noreturn]] inline void corrupt(const std::string &why, std::map<std::string, std::string> facts = {}) {
  throw Failure("BUNDLE_CORRUPT", why, std::move(facts));
}

[[noreturn]] void throw_errno(const std::string &what);

template <typename T> struct ObjectUnref {
  void operator()(T *object) const { g_object_unref(object); }
};
template <typename T> using ObjectPtr = std::unique_ptr<T, ObjectUnref<T>>;

struct VariantUnref {
  void operator()(GVariant *value) const { g_variant_unref(value); }
};
using VariantPtr = std::unique_ptr<GVariant, VariantUnref>;

struct GFree {
  void operator()(void *memory) const { g_free(memory); }
};
using CharPtr = std::unique_ptr<char, GFree>;

// Collects a GError; `check` turns it into a Failure.
class GErrorSlot {
public:
  GErrorSlot() = default;
  GErrorSlot(const GErrorSlot &) = delete;
  GErrorSlot &operator=(const GErrorSlot &) = delete;
  ~GErrorSlot() { g_clear_error(&error_); }
  GError **operator&() { return &error_; }
  GError *get() const { return error_; }
  // `code` for errors that are not about cancelling, space or permissions.
  [[noreturn]] void raise(const char *code, const std::string &what) const;

private:
  GError *error_ = nullptr;
};

class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd &&other) noexcept : fd_(other.release()) {}
  Fd &operator=(Fd &&other) noexcept {
    if (this != &other) {
      reset();
      fd_ = other.release();
    }
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
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
  static Checksum from_hex(const std::string &hex);
  static Checksum from_variant(GVariant *value);
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

// What JavaScript sees of work in progress.
struct Job {
  Job() : cancellable(g_cancellable_new()) {}
  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> total{0};
  ObjectPtr<GCancellable> cancellable;

  void cancel() { g_cancellable_cancel(cancellable.get()); }
  bool cancelled() const { return g_cancellable_is_cancelled(cancellable.get()) != FALSE; }
  void check() const {
    if (cancelled())
      throw Failure("CANCELLED", "cancelled");
  }
};

// Reading and writing whole buffers; EINTR and short transfers are handled. Throw Failure.
void write_all(int fd, const void *data, size_t size);
// Returns the number of bytes read: less than `size` only at the end of the file.
size_t read_at(int fd, void *data, size_t size, uint64_t offset);
// An unlinked temporary file in `directory`.
Fd open_temporary(const std::string &directory);

} // namespace trees::delta
