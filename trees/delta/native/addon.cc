// The delta addon's entry points. Arguments were validated in TypeScript; work runs on threads of its own.
#include <fcntl.h>
#include <napi.h>

#include "../../native-support/task.h"
#include "../../native-support/variant.h"
#include "apply.h"
#include "encode.h"
#include "repair.h"

namespace trees::delta {

namespace {

using Napi::CallbackInfo;
using Napi::Env;
using Napi::Object;
using Napi::String;
using Napi::Value;

using Jobs = JobExports<Job>;
using JobPtr = Jobs::Pointer;
using BundlePtr = std::shared_ptr<OpenBundle>;

std::string text(const Object &options, const char *name) {
  return options.Get(name).As<String>();
}
bool flag(const Object &options, const char *name) {
  return options.Get(name).ToBoolean();
}
std::optional<Checksum> checksum(const Object &options, const char *name) {
  Value value = options.Get(name);
  if (!value.IsString())
    return std::nullopt;
  return Checksum::from_hex(value.As<String>().Utf8Value());
}
double number(uint64_t value) {
  return static_cast<double>(value);
}

Value create(const CallbackInfo &info) {
  JobPtr job = Jobs::argument(info);
  Object object = info[1].As<Object>();
  EncodeOptions options;
  options.repository = text(object, "repository");
  options.from = checksum(object, "from");
  options.to = *checksum(object, "to");
  options.fd = object.Get("fd").As<Napi::Number>();
  options.temporary = text(object, "temporary");
  options.small = flag(object, "small");
  options.quick = flag(object, "quick");
  options.level = object.Get("level").As<Napi::Number>();
  options.threads = object.Get("threads").As<Napi::Number>();
  return Task::run(info.Env(), "trees-bundle-create", [job, options] {
    BundleStats stats = encode(options, *job);
    return [stats](Env env) -> Value {
      Object result = Object::New(env);
      result.Set("size", number(stats.size));
      result.Set("tail", number(stats.tail));
      result.Set("sha256", stats.sha256.hex());
      result.Set("rawSize", number(stats.raw_size));
      result.Set("writes", number(stats.writes));
      result.Set("parts", number(stats.parts));
      result.Set("objects", number(stats.objects));
      return result;
    };
  });
}

Napi::Array part_values(Env env, const Source &source, const Superblock &block) {
  Napi::Array parts = Napi::Array::New(env, block.parts.size());
  for (size_t i = 0; i < block.parts.size(); i++) {
    const PartHeader &header = block.parts[i];
    StoredRange range = source.stored(block.entries[i].start, block.entries[i].end);
    Object part = Object::New(env);
    part.Set("offset", number(range.offset));
    part.Set("compressedSize", number(range.size));
    part.Set("rawSize", number(header.size));
    part.Set("writes", number(header.unpacked));
    Napi::Array objects = Napi::Array::New(env, header.objects.size());
    for (size_t j = 0; j < header.objects.size(); j++) {
      Object entry = Object::New(env);
      entry.Set("type", type_name(header.objects[j].type));
      entry.Set("checksum", header.objects[j].checksum.hex());
      objects.Set(static_cast<uint32_t>(j), entry);
    }
    part.Set("objects", objects);
    parts.Set(static_cast<uint32_t>(i), part);
  }
  return parts;
}

Object info_value(Env env, const Source &source, const Superblock &block, bool parts) {
  Object result = Object::New(env);
  result.Set("from", block.from ? Value(String::New(env, block.from->hex())) : env.Null());
  result.Set("to", block.to.hex());
  result.Set("compressed", !source.frames().empty());
  result.Set("encoding", block.encoding);
  result.Set("size", number(source.file_size()));
  result.Set("rawSize", number(source.size()));
  result.Set("writes", number(block.writes));
  result.Set("objects", number(block.objects));
  result.Set("commitBytes",
             Napi::Buffer<uint8_t>::Copy(env, block.commit_bytes.data(), block.commit_bytes.size()));
  result.Set("detached",
             block.detached == nullptr ? env.Undefined() : metadata_to_js(env, block.detached.get()));
  result.Set("commit", variant_to_js(env, block.commit.get()));
  // A large bundle has a million objects; applying it must not make JavaScript objects of them.
  if (parts)
    result.Set("parts", part_values(env, source, block));
  else
    result.Set("parts", Napi::Array::New(env));
  return result;
}

Task::Finish opened(BundlePtr bundle, bool parts) {
  return [bundle, parts](Env env) -> Value {
    Object result = info_value(env, bundle->source, bundle->block, parts);
    result.Set("handle", Napi::External<BundlePtr>::New(env, new BundlePtr(bundle),
                                                        [](Env, BundlePtr *handle) { delete handle; }));
    return result;
  };
}

// Opens a bundle and reads its superblock; the result's `handle` is what `apply` takes, so that what was
// looked at is what is applied.
Value open_bundle(const CallbackInfo &info) {
  JobPtr job = Jobs::argument(info);
  Object options = info[1].As<Object>();
  std::string path = text(options, "path");
  std::string temporary = text(options, "temporary");
  std::optional<Checksum> sha256 = checksum(options, "sha256");
  bool parts = flag(options, "parts");
  return Task::run(info.Env(), "trees-bundle-open", [=] {
    try {
      return opened(std::make_shared<OpenBundle>(path, temporary, sha256, *job), parts);
    } catch (const Failure &failure) {
      // A damaged file is told by its digest, not by where the damage shows.
      if (failure.code == "BUNDLE_CORRUPT" && sha256)
        check_digest(path, *sha256, *job);
      throw;
    }
  });
}

// The same for a bundle that is still arriving, from its last bytes.
Value open_tail(const CallbackInfo &info) {
  JobPtr job = Jobs::argument(info);
  Object options = info[1].As<Object>();
  auto size = static_cast<uint64_t>(options.Get("size").As<Napi::Number>().Int64Value());
  auto buffer = options.Get("tail").As<Napi::Uint8Array>();
  Bytes tail(buffer.Data(), buffer.Data() + buffer.ByteLength());
  std::string temporary = text(options, "temporary");
  Checksum sha256 = *checksum(options, "sha256");
  return Task::run(info.Env(), "trees-bundle-open", [=] {
    return opened(std::make_shared<OpenBundle>(size, tail, temporary, sha256, *job), false);
  });
}

BundlePtr bundle_argument(const CallbackInfo &info, size_t index) {
  return *info[index].As<Napi::External<BundlePtr>>().Data();
}

// (bundle, bytes): the first `bytes` of the file are there.
Value bundle_arrived(const CallbackInfo &info) {
  bundle_argument(info, 0)->arrival.advance(static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()));
  return info.Env().Undefined();
}

Value apply_bundle(const CallbackInfo &info) {
  JobPtr job = Jobs::argument(info);
  BundlePtr bundle = bundle_argument(info, 1);
  Object object = info[2].As<Object>();
  ApplyOptions options;
  options.repository = text(object, "repository");
  options.ref = text(object, "ref");
  Value fd = object.Get("fd");
  if (fd.IsNumber()) {
    // Its own, which lives as long as the work, whatever becomes of the caller's.
    Fd own(::fcntl(fd.As<Napi::Number>().Int32Value(), F_DUPFD_CLOEXEC, 3));
    if (!own)
      throw Napi::Error::New(info.Env(), "cannot duplicate a file descriptor");
    options.arriving = std::make_shared<const Fd>(std::move(own));
  }
  options.threads = object.Get("threads").As<Napi::Number>();
  return Task::run(info.Env(), "trees-bundle-apply", [job, bundle, options] {
    ApplyStats stats = apply(*bundle, options, *job);
    return [stats](Env env) -> Value {
      Object result = Object::New(env);
      result.Set("objectsWritten", number(stats.objects));
      result.Set("bytesWritten", number(stats.bytes));
      return result;
    };
  });
}

Value apply_bundle_parts(const CallbackInfo &info) {
  JobPtr job = Jobs::argument(info);
  BundlePtr bundle = bundle_argument(info, 1);
  Object object = info[2].As<Object>();
  std::string repository = text(object, "repository");
  bool with_commit = flag(object, "commit");
  std::vector<size_t> parts;
  Napi::Array indexes = object.Get("parts").As<Napi::Array>();
  for (uint32_t i = 0; i < indexes.Length(); i++)
    parts.push_back(indexes.Get(i).As<Napi::Number>().Uint32Value());
  return Task::run(info.Env(), "trees-bundle-apply-parts", [job, bundle, repository, parts, with_commit] {
    ApplyStats stats = apply_parts(*bundle, repository, parts, with_commit, *job);
    return [stats](Env env) -> Value {
      Object result = Object::New(env);
      result.Set("objectsWritten", number(stats.objects));
      result.Set("bytesWritten", number(stats.bytes));
      return result;
    };
  });
}

Object initialise(Env env, Object exports) {
  Jobs::add(env, exports);
  exports.Set("create", Napi::Function::New(env, create));
  exports.Set("open", Napi::Function::New(env, open_bundle));
  exports.Set("openTail", Napi::Function::New(env, open_tail));
  exports.Set("arrived", Napi::Function::New(env, bundle_arrived));
  exports.Set("apply", Napi::Function::New(env, apply_bundle));
  exports.Set("applyParts", Napi::Function::New(env, apply_bundle_parts));
  return exports;
}

} // namespace

NODE_API_MODULE(delta, initialise)

} // namespace trees::delta
