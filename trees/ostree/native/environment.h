// Everything that belongs to one JavaScript environment (the main thread or a worker): its threads, the queue
// back to its loop, and what has to stop when it ends.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "glib-ptr.h"

class OpenRepo;

class Environment : public std::enable_shared_from_this<Environment> {
public:
  // Creates the environment's state; called once per environment, by the module's initializer.
  static void Create(Napi::Env env);
  static std::shared_ptr<Environment> From(Napi::Env env);

  ~Environment() = default;
  Environment(const Environment &) = delete;
  Environment &operator=(const Environment &) = delete;

  void SetErrorClass(Napi::Function errorClass) { errorClass_ = Napi::Persistent(errorClass); }
  Napi::Function ErrorClass() const { return errorClass_.Value(); }

  // Runs `work` on one of a few threads, first come first served. It must not wait for other work.
  void RunInPool(std::function<void()> work);
  // Runs `work` on a thread of its own: for what takes long or waits for locks.
  void RunAlone(std::function<void()> work);

  // Has `call` run on the environment's thread. Dropped when the environment is ending.
  void Post(std::function<void(Napi::Env)> call);
  // As Post, and waits until it ran. False when the environment is ending: `call` did not and will not run.
  bool PostAndWait(std::function<void(Napi::Env)> call);

  // The loop stays alive while work is under way. Environment's thread only.
  void BeginWork();
  void EndWork();

  // Cancelled when the environment ends.
  void Register(GCancellable *cancellable);
  void Unregister(GCancellable *cancellable);
  void Register(OpenRepo *repo);
  void Unregister(OpenRepo *repo);

private:
  explicit Environment(Napi::Env env);
  void PoolMain();
  void Drain();
  void Stop();
  void ReapFinished();
  static void OnWake(napi_env env, napi_value function, void *context, void *data);
  static void OnCleanup(void *data);

  struct LoneThread {
    std::thread thread;
    bool finished = false;
  };

  Napi::Env env_;
  Napi::FunctionReference errorClass_;
  napi_threadsafe_function wake_ = nullptr;
  int pending_ = 0;

  std::mutex mutex_;
  std::condition_variable work_ready_;
  std::condition_variable call_done_;
  bool stopping_ = false;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> pool_;
  size_t idle_ = 0;
  std::list<LoneThread> lone_;
  std::deque<std::function<void(Napi::Env)>> calls_;
  std::set<GCancellable *> cancellables_;
  std::set<OpenRepo *> repos_;
};
