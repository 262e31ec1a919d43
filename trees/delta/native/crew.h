// The threads that make a bundle.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace trees::delta {

// Runs loops. A loop within a step of another one is joined by every thread that has nothing else to do, so
// that one large file keeps all of them busy.
class Crew {
public:
  // `threads` includes the one that calls `each`.
  explicit Crew(unsigned threads);
  Crew(const Crew &) = delete;
  Crew &operator=(const Crew &) = delete;
  ~Crew();

  using Work = std::function<void(size_t)>;
  // Calls `work(index)` once for each of [0, count), started in that order, and returns when all are done.
  // After a failure no further one is started; throws the first one's.
  void each(size_t count, const Work &work);
  // The same for as many as there are sizes, the largest first: smaller ones fill the gaps while the last of
  // the large ones are worked on.
  void each_by_size(const std::vector<uint64_t> &sizes, const Work &work);

private:
  struct Loop {
    const Work &work;
    size_t count;
    size_t next = 0;
    size_t running = 0;
    std::exception_ptr failure;
  };
  // The latest loop that has a step left and was begun after `outer`, or null. One that waits for its own
  // loop must not take up something else: that could hold what the others need.
  Loop *open_loop(const Loop *outer);
  void step(Loop &loop, std::unique_lock<std::mutex> &lock);
  void help();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Loop *> loops_;
  bool ending_ = false;
  std::vector<std::thread> helpers_;
};

} // namespace trees::delta
