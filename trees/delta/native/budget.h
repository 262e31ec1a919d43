// How much of what is being applied may be in memory at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace trees::delta {

// Bytes of parts in work, compressed and decompressed, of all bundles that are being applied. With Node's own
// 60 MB an installation stays below 200 MB.
constexpr uint64_t BUDGET = 88 << 20;

// What all pipelines of this process may have in work at once. What is in work never waits for more to be
// admitted, so whoever waits gets its turn.
class Budget {
public:
  // Waits until so much fits, or there is nothing else; returns false once `given_up` returns true.
  template <typename GivenUp> bool admit(uint64_t cost, GivenUp given_up) {
    std::unique_lock lock(mutex_);
    for (; !given_up(); changed_.wait_for(lock, std::chrono::milliseconds(50)))
      if (in_work_ == 0 || in_work_ + cost <= BUDGET) {
        in_work_ += cost;
        return true;
      }
    return false;
  }

  void release(uint64_t cost) {
    {
      std::lock_guard lock(mutex_);
      in_work_ -= cost;
    }
    changed_.notify_all();
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t in_work_ = 0;
};

inline Budget &budget() {
  static Budget shared;
  return shared;
}

} // namespace trees::delta
