#include "environment.h"

#include <algorithm>

#include "repo.h"

namespace {
constexpr size_t kPoolSize = 4;
using Holder = std::shared_ptr<Environment>;
} // namespace

void Environment::Create(Napi::Env env) {
  Holder state(new Environment(env));
  env.SetInstanceData<Holder>(new Holder(state));
}

std::shared_ptr<Environment> Environment::From(Napi::Env env) {
  return *env.GetInstanceData<Holder>();
}

Environment::Environment(Napi::Env env) : env_(env) {
  napi_value name = Napi::String::New(env, "ostree-ts");
  napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr,
                                                       this, OnWake, &wake_);
  if (status != napi_ok)
    throw Napi::Error::New(env, "cannot create the addon's queue");
  napi_unref_threadsafe_function(env, wake_);
  // Cleanup hooks run in reverse order: this one before that of the queue, which is therefore still usable in
  // it.
  napi_add_env_cleanup_hook(env, OnCleanup, this);
}

void Environment::RunInPool(std::function<void()> work) {
  std::lock_guard<std::mutex> guard(mutex_);
  if (stopping_)
    return;
  queue_.push_back(std::move(work));
  if (idle_ < queue_.size() && pool_.size() < kPoolSize)
    pool_.emplace_back([this] { PoolMain(); });
  work_ready_.notify_one();
}

void Environment::PoolMain() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    idle_ += 1;
    work_ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    idle_ -= 1;
    if (stopping_)
      return;
    std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    // What it captured goes before the lock is taken again: destructors may want the environment.
    work = nullptr;
    lock.lock();
  }
}

void Environment::RunAlone(std::function<void()> work) {
  std::lock_guard<std::mutex> guard(mutex_);
  if (stopping_)
    return;
  lone_.emplace_back();
  LoneThread &lone = lone_.back();
  lone.thread = std::thread([this, &lone, work = std::move(work)]() mutable {
    work();
    work = nullptr;
    std::lock_guard<std::mutex> inner(mutex_);
    lone.finished = true;
  });
}

void Environment::ReapFinished() {
  std::lock_guard<std::mutex> guard(mutex_);
  for (auto item = lone_.begin(); item != lone_.end();) {
    if (item->finished) {
      item->thread.join();
      item = lone_.erase(item);
    } else {
      ++item;
    }
  }
}

void Environment::Post(std::function<void(Napi::Env)> call) {
  std::lock_guard<std::mutex> guard(mutex_);
  // Kept even when it will not run: what it captured has to be destroyed on the environment's thread.
  calls_.push_back(std::move(call));
  // Under the lock, so that the queue cannot be torn down in between.
  if (!stopping_)
    napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

bool Environment::PostAndWait(std::function<void(Napi::Env)> call) {
  auto done = std::make_shared<bool>(false);
  Post([this, done, call = std::move(call)](Napi::Env env) {
    call(env);
    std::lock_guard<std::mutex> guard(mutex_);
    *done = true;
    call_done_.notify_all();
  });
  std::unique_lock<std::mutex> lock(mutex_);
  call_done_.wait(lock, [this, &done] { return stopping_ || *done; });
  return *done;
}

void Environment::OnWake(napi_env env, napi_value /*function*/, void *context, void * /*data*/) {
  if (env != nullptr)
    static_cast<Environment *>(context)->Drain();
}

void Environment::Drain() {
  for (;;) {
    std::function<void(Napi::Env)> call;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      if (stopping_ || calls_.empty())
        break;
      call = std::move(calls_.front());
      calls_.pop_front();
    }
    try {
      Napi::HandleScope scope(env_);
      call(env_);
    } catch (const Napi::Error &) {
      // Calls take care of their own errors. What is left: a worker that is being terminated runs no
      // JavaScript any more, and nobody is there to be told.
    }
  }
  ReapFinished();
}

void Environment::BeginWork() {
  if (pending_++ == 0)
    napi_ref_threadsafe_function(env_, wake_);
}

void Environment::EndWork() {
  if (--pending_ == 0)
    napi_unref_threadsafe_function(env_, wake_);
}

void Environment::Register(GCancellable *cancellable) {
  std::lock_guard<std::mutex> guard(mutex_);
  cancellables_.insert(cancellable);
}

void Environment::Unregister(GCancellable *cancellable) {
  std::lock_guard<std::mutex> guard(mutex_);
  cancellables_.erase(cancellable);
}

void Environment::Register(OpenRepo *repo) {
  std::lock_guard<std::mutex> guard(mutex_);
  repos_.insert(repo);
}

void Environment::Unregister(OpenRepo *repo) {
  std::lock_guard<std::mutex> guard(mutex_);
  repos_.erase(repo);
}

void Environment::OnCleanup(void *data) {
  static_cast<Environment *>(data)->Stop();
}

// The environment ends (process exit or a worker's): nothing may call into it any more, and nothing may be
// left behind half done. Cancels what runs, waits for it, then closes what scripts left open.
void Environment::Stop() {
  std::vector<Ref<GCancellable>> running;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    stopping_ = true;
    for (GCancellable *cancellable : cancellables_)
      running.push_back(Ref<GCancellable>::Share(cancellable));
    work_ready_.notify_all();
    call_done_.notify_all();
  }
  for (const Ref<GCancellable> &cancellable : running)
    g_cancellable_cancel(cancellable.get());
  for (std::thread &thread : pool_)
    thread.join();
  for (LoneThread &lone : lone_)
    lone.thread.join();
  pool_.clear();
  lone_.clear();
  // Outside the lock: what these captured may unregister itself.
  std::deque<std::function<void()>> queue = std::move(queue_);
  std::deque<std::function<void(Napi::Env)>> calls = std::move(calls_);
  queue.clear();
  calls.clear();
  std::set<OpenRepo *> repos;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    repos = repos_;
  }
  for (OpenRepo *repo : repos)
    repo->Close();
  errorClass_.Reset();
  napi_release_threadsafe_function(wake_, napi_tsfn_abort);
}
