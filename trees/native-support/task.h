// Work on a thread of its own with a promise for it, and the job by which JavaScript follows and cancels it.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "failure.h"

namespace trees {

inline Napi::Error to_error(Napi::Env env, const Failure &failure) {
  Napi::Error error = Napi::Error::New(env, failure.what());
  error.Set("code", Napi::String::New(env, failure.code));
  Napi::Object details = Napi::Object::New(env);
  for (const auto &[name, value] : failure.details)
    details.Set(name, value);
  error.Set("details", details);
  return error;
}

// Runs `work` on a thread; what it returns makes the promise's value, on JavaScript's thread.
class Task {
public:
  using Finish = std::function<Napi::Value(Napi::Env)>;
  using Work = std::function<Finish()>;

  static Napi::Value run(Napi::Env env, const char *name, Work work) {
    auto *task = new Task(env, std::move(work));
    Napi::Promise promise = task->deferred_.Promise();
    task->done_ = Napi::ThreadSafeFunction::New(env, Napi::Function(), name, 1, 1);
    task->thread_ = std::thread([task] {
      try {
        task->finish_ = task->work_();
      } catch (const Failure &failure) {
        task->failure_ = failure;
      } catch (const std::bad_alloc &) {
        task->failure_ = Failure("INTERNAL", "out of memory");
      } catch (const std::exception &error) {
        task->failure_ = Failure("INTERNAL", error.what());
      }
      task->done_.BlockingCall([task](Napi::Env inner, Napi::Function) { task->settle(inner); });
      task->done_.Release();
    });
    return promise;
  }

private:
  Task(Napi::Env env, Work work) : deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)) {}

  void settle(Napi::Env env) {
    Napi::HandleScope scope(env);
    if (failure_)
      deferred_.Reject(to_error(env, *failure_).Value());
    else
      deferred_.Resolve(finish_(env));
    thread_.join();
    delete this;
  }

  Napi::Promise::Deferred deferred_;
  Work work_;
  Napi::ThreadSafeFunction done_;
  std::thread thread_;
  Finish finish_;
  std::optional<Failure> failure_;
};

// Entry points of an addon whose work reports to a `Job`: `done`, `total` and `cancel()`.
template <typename Job> struct JobExports {
  using Pointer = std::shared_ptr<Job>;

  // A job is every entry point's first argument.
  static Pointer argument(const Napi::CallbackInfo &info) {
    return *info[0].As<Napi::External<Pointer>>().Data();
  }

  static void add(Napi::Env env, Napi::Object exports) {
    exports.Set("newJob", Napi::Function::New(env, create));
    exports.Set("cancelJob", Napi::Function::New(env, cancel));
    exports.Set("jobProgress", Napi::Function::New(env, progress));
  }

private:
  static Napi::Value create(const Napi::CallbackInfo &info) {
    return Napi::External<Pointer>::New(info.Env(), new Pointer(std::make_shared<Job>()),
                                        [](Napi::Env, Pointer *job) { delete job; });
  }

  static Napi::Value cancel(const Napi::CallbackInfo &info) {
    argument(info)->cancel();
    return info.Env().Undefined();
  }

  static Napi::Value progress(const Napi::CallbackInfo &info) {
    const Pointer job = argument(info);
    Napi::Array pair = Napi::Array::New(info.Env(), 2);
    pair.Set(0U, static_cast<double>(job->done));
    pair.Set(1U, static_cast<double>(job->total));
    return pair;
  }
};

} // namespace trees
