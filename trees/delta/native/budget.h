// How much of what is being applied may be in memory at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

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
      if (take(cost))
        return true;
    return false;
  }

  // The same without waiting.
  bool admit_now(uint64_t cost) {
    std::lock_guard lock(mutex_);
    return take(cost);
  }

  void release(uint64_t cost) {
    {
      std::lock_guard lock(mutex_);
      in_work_ -= cost;
    }
    changed_.notify_all();
  }

private:
  bool take(uint64_t cost) {
    if (in_work_ != 0 && in_work_ + cost > BUDGET)
      return false;
    in_work_ += cost;
    return true;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t in_work_ = 0;
};

inline Budget &budget() {
  static Budget shared;
  return shared;
}

// What was admitted, until it is released.
class Charge {
public:
  Charge() = default;
  explicit Charge(uint64_t cost) : cost_(cost) {}
  Charge(Charge &&other) noexcept : cost_(std::exchange(other.cost_, 0)) {}
  Charge &operator=(Charge &&other) noexcept {
    std::swap(cost_, other.cost_);
    return *this;
  }
  ~Charge() {
    if (cost_ > 0)
      budget().release(cost_);
  }
  bool empty() const { return cost_ == 0; }
  // Takes a part of it off.
  Charge split(uint64_t cost) {
    cost_ -= cost;
    return Charge(cost);
  }

private:
  uint64_t cost_ = 0;
};

} // namespace trees::delta
