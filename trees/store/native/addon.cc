// The store addon's entry points. Arguments were validated in TypeScript; work runs on threads of its own.
#include <napi.h>

#include <memory>

#include "../../native-support/task.h"
#include "checkout.h"
#include "compose.h"

namespace trees::store {

namespace {

using Napi::CallbackInfo;
using Napi::Env;
using Napi::Object;
using Napi::String;
using Napi::Value;

using Jobs = JobExports<Job>;
using JobPtr = Jobs::Pointer;

double number(uint64_t value) {
  return static_cast<double>(value);
}

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
  const JobPtr job = Jobs::argument(info);
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
  const JobPtr job = Jobs::argument(info);
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
  Jobs::add(env, exports);
  exports.Set("checkout", Napi::Function::New(env, checkout_tree));
  exports.Set("compose", Napi::Function::New(env, compose_tree));
  return exports;
}

} // namespace

NODE_API_MODULE(store, initialise)

} // namespace trees::store
