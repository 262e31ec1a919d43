// The store addon's entry points. Arguments were validated in TypeScript; work runs on threads of its own.
#include <napi.h>

#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "checkout.h"
#include "compose.h"

namespace trees::store {

namespace {

using Napi::CallbackInfo;
using Napi::Env;
using Napi::Object;
using Napi::String;
using Napi::Value;

using JobPtr = std::shared_ptr<Job>;

JobPtr job_argument(const CallbackInfo &info) {
  return *info[0].As<Napi::External<JobPtr>>().Data();
}

Value new_job(const CallbackInfo &info) {
  return Napi::External<JobPtr>::New(info.Env(), new JobPtr(std::make_shared<Job>()),
                                     [](Env, JobPtr *job) { delete job; });
}

Value cancel_job(const CallbackInfo &info) {
  job_argument(info)->cancelled = true;
  return info.Env().Undefined();
}

double number(uint64_t value) {
  return static_cast<double>(value);
}

Value job_progress(const CallbackInfo &info) {
  const JobPtr job = job_argument(info);
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0U, number(job->done));
  pair.Set(1U, number(job->total));
  return pair;
}

Napi::Error to_error(Env env, const Failure &failure) {
  Napi::Error error = Napi::Error::New(env, failure.what());
  error.Set("code", String::New(env, failure.code));
  Object details = Object::New(env);
  for (const auto &[name, value] : failure.details)
    details.Set(name, value);
  error.Set("details", details);
  return error;
}

// Runs `work` on a thread; what it returns makes the promise's value, on JavaScript's thread.
class Task {
public:
  using Finish = std::function<Value(Env)>;
  using Work = std::function<Finish()>;

  static Value run(Env env, const char *name, Work work) {
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
      task->done_.BlockingCall([task](Env inner, Napi::Function) { task->settle(inner); });
      task->done_.Release();
    });
    return promise;
  }

private:
  Task(Env env, Work work) : deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)) {}

  void settle(Env env) {
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

std::vector<std::string> texts(const Object &options, const char *name) {
  const auto array = options.Get(name).As<Napi::Array>();
  std::vector<std::string> result;
  for (uint32_t i = 0; i < array.Length(); i++)
    result.push_back(array.Get(i).As<String>());
  return result;
}

bool flag(const Object &options, const char *name) {
  return options.Get(name).ToBoolean();
}

Checksum checksum(const Value &value) {
  const std::string hex = value.As<String>();
  return Checksum::from_hex(hex);
}

Value checkout_tree(const CallbackInfo &info) {
  const JobPtr job = job_argument(info);
  const Object object = info[1].As<Object>();
  CheckoutOptions options;
  options.repositories = texts(object, "repositories");
  options.commit = checksum(object.Get("commit"));
  options.user = flag(object, "user");
  options.directory = object.Get("directory").As<Napi::Number>();
  options.fresh = flag(object, "fresh");
  options.merge = flag(object, "merge");
  options.force = flag(object, "force");
  options.copy = flag(object, "copy");
  options.threads = object.Get("threads").As<Napi::Number>();
  return Task::run(info.Env(), "trees-checkout", [job, options] {
    auto result = std::make_shared<CheckoutResult>(checkout(options, *job));
    return [result](Env env) -> Value {
      Object value = Object::New(env);
      value.Set("files", number(result->files));
      value.Set("size", number(result->size));
      value.Set("placed", number(result->placed));
      value.Set("same", number(result->same));
      value.Set("broken", number(result->broken));
      Napi::Array kept = Napi::Array::New(env, result->kept.size());
      for (size_t i = 0; i < result->kept.size(); i++)
        kept.Set(static_cast<uint32_t>(i), result->kept[i]);
      value.Set("kept", kept);
      return value;
    };
  });
}

Value compose_tree(const CallbackInfo &info) {
  const JobPtr job = job_argument(info);
  const Object object = info[1].As<Object>();
  ComposeOptions options;
  options.repositories = texts(object, "repositories");
  options.base = checksum(object.Get("base"));
  for (const std::string &layer : texts(object, "layers"))
    options.layers.push_back(Checksum::from_hex(layer));
  return Task::run(info.Env(), "trees-compose", [job, options] {
    auto result = std::make_shared<Composed>(compose(options, *job));
    return [result](Env env) -> Value {
      Object value = Object::New(env);
      value.Set("rootTree", result->root.tree.hex());
      value.Set("rootMeta", result->root.meta.hex());
      Napi::Array directories = Napi::Array::New(env, result->directories.size());
      for (size_t i = 0; i < result->directories.size(); i++) {
        const Bytes &bytes = result->directories[i];
        directories.Set(static_cast<uint32_t>(i),
                        Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size()));
      }
      value.Set("directories", directories);
      return value;
    };
  });
}

Object initialise(Env env, Object exports) {
  exports.Set("newJob", Napi::Function::New(env, new_job));
  exports.Set("cancelJob", Napi::Function::New(env, cancel_job));
  exports.Set("jobProgress", Napi::Function::New(env, job_progress));
  exports.Set("checkout", Napi::Function::New(env, checkout_tree));
  exports.Set("compose", Napi::Function::New(env, compose_tree));
  return exports;
}

} // namespace

NODE_API_MODULE(store, initialise)

} // namespace trees::store
