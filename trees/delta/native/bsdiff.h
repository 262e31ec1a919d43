// How a new file comes from an old one: Percival's bsdiff, in bounded memory, on all cores.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "crew.h"
#include "part.h"

namespace trees::delta {

// `similar` bytes of the new file resemble the old one from `old_start`; `fresh` bytes after them do not.
struct Segment {
  uint64_t new_start;
  uint64_t old_start;
  uint64_t similar;
  uint64_t fresh;
};

// Bounds the memory of all comparisons that run at the same time.
class MemoryBudget {
public:
  explicit MemoryBudget(uint64_t bytes) : free_(bytes), total_(bytes) {}
  class Lease {
  public:
    Lease(MemoryBudget &budget, uint64_t bytes);
    Lease(const Lease &) = delete;
    Lease &operator=(const Lease &) = delete;
    ~Lease();

  private:
    MemoryBudget &budget_;
    uint64_t bytes_;
  };

private:
  std::mutex mutex_;
  std::condition_variable freed_;
  uint64_t free_;
  uint64_t total_;
};

enum class CompareEffort {
  Quick, // a small index: finds long matches only
  Good,  // an index of every position of sources up to 32 MB, then of every second, fourth…
};

struct CompareOptions {
  CompareEffort effort;
  MemoryBudget &budget;
  Crew &crew;
  const Job &job;
};

// Segments that cover the new file from start to end. They do not depend on the number of threads.
std::vector<Segment> compare(View old, View fresh, const CompareOptions &options);

// The patch as libostree's bspatch reads it.
void write_patch(const std::vector<Segment> &segments, View old, View fresh,
                 const std::function<void(const void *, size_t)> &emit);

// The same as ranges to copy, for files whose similar stretches are mostly equal.
std::vector<CopyRange> copy_ranges(const std::vector<Segment> &segments, View old, View fresh);

} // namespace trees::delta
