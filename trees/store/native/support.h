// What the store addon's parts share: checksums, the state of work in progress, how names are shown.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "../../native-support/bytes.h"
#include "../../native-support/checksum.h"
#include "../../native-support/failure.h"
#include "../../native-support/fd.h"

namespace trees::store {

Checksum sha256(View bytes);

// What JavaScript sees of work in progress.
struct Job {
  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> total{0};
  std::atomic<bool> cancelled{false};

  void cancel() { cancelled = true; }
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
