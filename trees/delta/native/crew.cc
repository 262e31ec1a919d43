#include "crew.h"

#include <algorithm>
#include <numeric>

namespace trees::delta {

Crew::Crew(unsigned threads) {
  for (unsigned i = 1; i < threads; i++)
    helpers_.emplace_back([this] { help(); });
}

Crew::~Crew() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread &helper : helpers_)
    helper.join();
}

Crew::Loop *Crew::open_loop(const Loop *outer) {
  for (auto loop = loops_.rbegin(); loop != loops_.rend() && *loop != outer; ++loop)
    if ((*loop)->next < (*loop)->count)
      return *loop;
  return nullptr;
}

void Crew::step(Loop &loop, std::unique_lock<std::mutex> &lock) {
  size_t index = loop.next++;
  loop.running++;
  lock.unlock();
  std::exception_ptr failure;
  try {
    loop.work(index);
  } catch (...) {
    failure = std::current_exception();
  }
  lock.lock();
  if (failure) {
    if (!loop.failure)
      loop.failure = failure;
    loop.next = loop.count;
  }
  loop.running--;
  if (loop.running == 0 && loop.next == loop.count)
    changed_.notify_all();
}

void Crew::each(size_t count, const Work &work) {
  Loop loop{work, count, 0, 0, nullptr};
  std::unique_lock lock(mutex_);
  auto place = loops_.insert(loops_.end(), &loop);
  if (count > 1)
    changed_.notify_all();
  while (loop.next < loop.count)
    step(loop, lock);
  // Others still work on the last steps of this loop: help with loops inside of those.
  while (loop.running > 0) {
    Loop *inner = open_loop(&loop);
    if (inner != nullptr)
      step(*inner, lock);
    else
      changed_.wait(lock);
  }
  loops_.erase(place);
  if (loop.failure)
    std::rethrow_exception(loop.failure);
}

void Crew::each_by_size(const std::vector<uint64_t> &sizes, const Work &work) {
  std::vector<size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return sizes[a] > sizes[b]; });
  each(order.size(), [&](size_t i) { work(order[i]); });
}

void Crew::help() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    Loop *loop = open_loop(nullptr);
    if (loop != nullptr)
      step(*loop, lock);
    else
      changed_.wait(lock);
  }
}

} // namespace trees::delta
