// How much of a file that is being downloaded has arrived.
#pragma once

#include <condition_variable>
#include <mutex>

#include "support.h"

namespace trees::delta {

class Arrival {
public:
  // The first `bytes` bytes are there. Fewer than before: the download began again, nothing of it can be
  // trusted to be what was read.
  void advance(uint64_t bytes) {
    {
      std::lock_guard lock(mutex_);
      restarted_ = restarted_ || bytes < bytes_;
      bytes_ = bytes;
    }
    changed_.notify_all();
  }

  uint64_t bytes() {
    std::lock_guard lock(mutex_);
    return bytes_;
  }

  // Waits until there are more than `position` bytes; returns how many. Throws CANCELLED; BUNDLE_CORRUPT
  // after a restart.
  uint64_t wait(uint64_t position, const Job &job) {
    std::unique_lock lock(mutex_);
    for (;;) {
      job.check();
      if (restarted_)
        corrupt("its download started again");
      if (bytes_ > position)
        return bytes_;
      // Cancelling does not wake us.
      changed_.wait_for(lock, std::chrono::milliseconds(50));
    }
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t bytes_ = 0;
  bool restarted_ = false;
};

} // namespace trees::delta
