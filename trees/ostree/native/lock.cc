#include "lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <thread>

#include "task.h"
#include "values.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPoll = std::chrono::milliseconds(25);

// Cancels after a while, or when another is cancelled.
class Watchdog {
public:
  Watchdog(GCancellable *parent, Clock::time_point deadline, bool bounded)
      : parent_(Ref<GCancellable>::Share(parent)) {
    connection_ = g_cancellable_connect(parent, G_CALLBACK(+[](GCancellable *, gpointer own) {
                                          g_cancellable_cancel(static_cast<GCancellable *>(own));
                                        }),
                                        own_.get(), nullptr);
    if (bounded)
      thread_ = std::thread([this, deadline] {
        std::unique_lock<std::mutex> lock(mutex_);
        if (!done_ready_.wait_until(lock, deadline, [this] { return done_; }))
          g_cancellable_cancel(own_.get());
      });
  }
  ~Watchdog() {
    g_cancellable_disconnect(parent_.get(), connection_);
    if (thread_.joinable()) {
      {
        std::lock_guard<std::mutex> guard(mutex_);
        done_ = true;
      }
      done_ready_.notify_all();
      thread_.join();
    }
  }
  GCancellable *get() const { return own_.get(); }

private:
  Ref<GCancellable> parent_;
  Ref<GCancellable> own_{g_cancellable_new()};
  gulong connection_ = 0;
  std::mutex mutex_;
  std::condition_variable done_ready_;
  bool done_ = false;
  std::thread thread_;
};

// Whether another open file description holds a lock that conflicts. A hint: it may change at once.
bool IsLockedByOthers(OstreeRepo *repo, bool exclusive) {
  int fd = openat(ostree_repo_get_dfd(repo), ".lock", O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return false;
  struct flock probe = {};
  probe.l_type = static_cast<short>(exclusive ? F_WRLCK : F_RDLCK);
  probe.l_whence = SEEK_SET;
  bool locked = fcntl(fd, F_OFD_GETLK, &probe) == 0 && probe.l_type != F_UNLCK;
  close(fd);
  return locked;
}

[[noreturn]] void ThrowBusy(OstreeRepo *repo) {
  GString8 path(g_file_get_path(ostree_repo_get_path(repo)));
  throw GlibError(std::string("cannot lock ") + path.get() + ": another process or Repo holds the lock",
                  G_IO_ERROR_WOULD_BLOCK);
}

// libostree polls once a second and only for as long as the configuration says, so waiting is done here; its
// own call then finds the lock free, except when another waiter was faster.
void Acquire(OpenRepo &open, bool exclusive, double timeout, GCancellable *cancellable) {
  OstreeRepo *repo = open.get();
  const bool bounded = timeout >= 0;
  const auto deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(
                         std::chrono::duration<double>(bounded && timeout < 1e9 ? timeout : 1e9));
  const bool probing = ostree_repo_is_writable(repo, nullptr) != FALSE && open.locking;
  for (;;) {
    ErrorSlot cancelled;
    cancelled.Check(g_cancellable_set_error_if_cancelled(cancellable, cancelled) == FALSE);
    OpenRepo::Held held = open.GetHeld();
    const bool holding = held.shared + held.exclusive > 0 || open.in_transaction;
    // Our own lock would look like another's; libostree knows better.
    if (probing && !holding && IsLockedByOthers(repo, exclusive)) {
      if (bounded && Clock::now() >= deadline)
        ThrowBusy(repo);
      std::this_thread::sleep_for(kPoll);
      continue;
    }
    // A moment more than the deadline: the first attempt is made before libostree looks at the clock.
    Watchdog watchdog(cancellable, std::max(deadline, Clock::now() + kPoll), bounded);
    ErrorSlot error;
    if (ostree_repo_lock_push(repo, exclusive ? OSTREE_REPO_LOCK_EXCLUSIVE : OSTREE_REPO_LOCK_SHARED,
                              watchdog.get(), error))
      return;
    cancelled.Check(g_cancellable_set_error_if_cancelled(cancellable, cancelled) == FALSE);
    const bool again = error.Matches(G_IO_ERROR_WOULD_BLOCK) || error.Matches(G_IO_ERROR_CANCELLED);
    if (!again)
      error.Throw();
    if (bounded && Clock::now() >= deadline)
      ThrowBusy(repo);
  }
}

void Release(OpenRepo &open, bool exclusive) {
  ErrorSlot error;
  ostree_repo_lock_pop(open.get(), exclusive ? OSTREE_REPO_LOCK_EXCLUSIVE : OSTREE_REPO_LOCK_SHARED, nullptr,
                       error);
}

} // namespace

LockGuard::LockGuard(OpenRepo &repo, bool exclusive, double timeout, GCancellable *cancellable)
    : repo_(repo), exclusive_(exclusive) {
  Acquire(repo, exclusive, timeout, cancellable);
  repo.CountLock(exclusive, 1);
}

LockGuard::~LockGuard() {
  if (keep_)
    return;
  repo_.CountLock(exclusive_, -1);
  Release(repo_, exclusive_);
}

Napi::Value Lock(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[3], Lane::kAlone,
                     [repo = UnwrapRepo(info[0]), exclusive = ToBool(info[1]),
                      timeout = ToDouble(info[2])](Task &task) -> Result {
                       LockGuard guard(*repo, exclusive, timeout, task.Cancel());
                       task.CheckCancelled();
                       guard.Keep();
                       return nullptr;
                     });
}

Napi::Value Unlock(const Napi::CallbackInfo &info) {
  std::shared_ptr<OpenRepo> repo = Unwrap<RepoHandle>(info[0])->open;
  const bool exclusive = ToBool(info[1]);
  // Closing let go of the lock.
  if (!repo)
    return info.Env().Undefined();
  OpenRepo::Held held = repo->GetHeld();
  if ((exclusive ? held.exclusive : held.shared) > 0) {
    repo->CountLock(exclusive, -1);
    Release(*repo, exclusive);
  }
  return info.Env().Undefined();
}
