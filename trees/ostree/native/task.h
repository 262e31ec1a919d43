// One asynchronous call: work on another thread, its result built on the environment's thread, as a promise.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "environment.h"
#include "gerror.h"
#include "glib-ptr.h"

// Builds the JavaScript value of a finished call, on the environment's thread.
using Result = std::function<Napi::Value(Napi::Env)>;

class Task;
// Runs off the environment's thread. Throws GlibError; returns how to build the result.
using Work = std::function<Result(Task &)>;

enum class Lane {
  kPool,  // short, waits for nothing
  kAlone, // long, or waits for locks
};

class Task : public std::enable_shared_from_this<Task> {
public:
  // `token` is a cancellable's handle or undefined.
  static Napi::Promise Start(Napi::Env env, Napi::Value token, Lane lane, Work work);

  Task(Napi::Env env, Ref<GCancellable> cancellable);
  ~Task();
  Task(const Task &) = delete;
  Task &operator=(const Task &) = delete;

  GCancellable *Cancel() const { return cancellable_.get(); }
  // Throws when the call was cancelled.
  void CheckCancelled() const;

  // Calls a JavaScript function from the work's thread and waits for it. When it throws, the task is
  // cancelled and will be rejected with what was thrown. False when it threw or the environment is ending.
  bool Call(const std::function<void(Napi::Env)> &call);
  // As Call, without waiting.
  void Notify(std::function<void(Napi::Env)> call);

private:
  void Execute(const Work &work);
  void Settle(Napi::Env env);
  void Guarded(Napi::Env env, const std::function<void(Napi::Env)> &call);

  std::shared_ptr<Environment> environment_;
  Napi::Promise::Deferred deferred_;
  Ref<GCancellable> cancellable_;
  Result result_;
  std::unique_ptr<GlibError> error_;
  std::unique_ptr<Napi::Error> thrown_;
};

// A function kept for calls from work. Made and destroyed on the environment's thread.
using FunctionHolder = std::shared_ptr<Napi::FunctionReference>;
FunctionHolder HoldFunction(Napi::Value value);

Napi::Value CreateCancellable(const Napi::CallbackInfo &info);
Napi::Value CancelCancellable(const Napi::CallbackInfo &info);
