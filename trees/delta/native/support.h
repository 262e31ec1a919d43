// What the bundle encoder and decoder share: owning pointers for GLib, its errors, whole reads and writes.
#pragma once

#include <gio/gio.h>
#include <glib.h>
#include <ostree.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../../native-support/bytes.h"
#include "../../native-support/checksum.h"
#include "../../native-support/failure.h"
#include "../../native-support/fd.h"
#include "../../native-support/variant_ptr.h"

namespace trees::delta {

[[noreturn]] inline void corrupt(const std::string &why, std::map<std::string, std::string> facts = {}) {
  throw Failure("BUNDLE_CORRUPT", why, std::move(facts));
}

template <typename T> struct ObjectUnref {
  void operator()(T *object) const { g_object_unref(object); }
};
template <typename T> using ObjectPtr = std::unique_ptr<T, ObjectUnref<T>>;

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

// Throws STORE_CORRUPT unless it is an `ay` of 32 bytes.
Checksum checksum_from_variant(GVariant *value);

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
void write_all(int fd, std::span<const View> pieces);
// Returns the number of bytes read: less than `size` only at the end of the file.
size_t read_at(int fd, void *data, size_t size, uint64_t offset);
// An unlinked temporary file in `directory`.
Fd open_temporary(const std::string &directory);

} // namespace trees::delta
