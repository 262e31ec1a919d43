#include "delta.h"

#include "../../native-support/variant.h"
#include "objects.h"
#include "repo.h"
#include "superblock.h"
#include "task.h"
#include "transaction.h"
#include "variant.h"

namespace {

struct DeltaPlan {
  std::optional<std::string> from;
  std::string to;
  Ref<GVariant> parameters;
  Ref<GVariant> metadata;
};

DeltaPlan ToDeltaPlan(const Napi::Value &value) {
  auto object = value.As<Napi::Object>();
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
  auto megabytes = [&](const char *name, const char *key) {
    const int size = ToInt(object.Get(name));
    if (size >= 0)
      g_variant_builder_add(&builder, "{sv}", key, g_variant_new_uint32(static_cast<guint32>(size)));
  };
  megabytes("minFallbackSize", "min-fallback-size");
  megabytes("maxBsdiffSize", "max-bsdiff-size");
  megabytes("maxChunkSize", "max-chunk-size");
  g_variant_builder_add(&builder, "{sv}", "bsdiff-enabled",
                        g_variant_new_boolean(ToBool(object.Get("disableBsdiff")) ? FALSE : TRUE));
  g_variant_builder_add(&builder, "{sv}", "inline-parts",
                        g_variant_new_boolean(ToBool(object.Get("inlineParts")) ? TRUE : FALSE));
  std::optional<std::string> filename = ToOptionalString(object.Get("filename"));
  if (filename)
    g_variant_builder_add(&builder, "{sv}", "filename", g_variant_new_bytestring(filename->c_str()));
  return {ToOptionalString(object.Get("from")), ToString(object.Get("to")),
          SinkVariant(g_variant_builder_end(&builder)), ToMetadata(object.Get("metadata"))};
}

Napi::Object PartToJs(Napi::Env env, const DeltaPart &part) {
  auto object = Napi::Object::New(env);
  object.Set("version", part.version);
  object.Set("checksum", part.checksum);
  object.Set("size", static_cast<double>(part.size));
  object.Set("uncompressedSize", static_cast<double>(part.uncompressed_size));
  object.Set("objects", ObjectNamesToJs(env, part.objects));
  return object;
}

Napi::Object FallbackToJs(Napi::Env env, const DeltaFallback &fallback) {
  auto object = Napi::Object::New(env);
  object.Set("type", ObjectTypeName(fallback.object.type));
  object.Set("checksum", fallback.object.checksum);
  object.Set("size", static_cast<double>(fallback.size));
  return object;
}

} // namespace

Napi::Value ListDeltas(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool, [repo = UnwrapRepo(info[0])](Task &task) -> Result {
        ErrorSlot error;
        Ref<GPtrArray> names;
        error.Check(ostree_repo_list_static_delta_names(repo->get(), names.Out(), task.Cancel(), error));
        std::vector<std::string> list;
        for (guint index = 0; index < names.get()->len; ++index)
          list.emplace_back(static_cast<const char *>(g_ptr_array_index(names.get(), index)));
        return [list = std::move(list)](Napi::Env env) -> Napi::Value {
          auto array = Napi::Array::New(env, list.size());
          for (size_t index = 0; index < list.size(); ++index) {
            const size_t dash = list[index].find('-');
            auto object = Napi::Object::New(env);
            object.Set("from", dash == std::string::npos
                                   ? env.Undefined()
                                   : Napi::String::New(env, list[index].substr(0, dash)));
            object.Set("to", dash == std::string::npos ? list[index] : list[index].substr(dash + 1));
            array.Set(static_cast<uint32_t>(index), object);
          }
          return array;
        };
      });
}

Napi::Value GenerateDelta(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info[2], Lane::kAlone,
      [repo = UnwrapRepo(info[0]), plan = ToDeltaPlan(info[1])](Task &task) -> Result {
        ErrorSlot error;
        error.Check(ostree_repo_static_delta_generate(repo->get(), OSTREE_STATIC_DELTA_GENERATE_OPT_MAJOR,
                                                      OrNull(plan.from), plan.to.c_str(), plan.metadata.get(),
                                                      plan.parameters.get(), task.Cancel(), error));
        return nullptr;
      });
}

Napi::Value ApplyDelta(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info[5], Lane::kAlone,
      [repo = UnwrapRepo(info[0]), path = ToString(info[1]), skip = ToBool(info[2]), own = ToBool(info[3]),
       timeout = ToDouble(info[4])](Task &task) -> Result {
        // For its complaints: libostree's own about a file that is no delta say little.
        Superblock block = ReadSuperblock(path);
        // Reading the old version of a file is an assertion failure in libostree there.
        if (block.from && ostree_repo_get_mode(repo->get()) == OSTREE_REPO_MODE_ARCHIVE)
          throw GlibError("cannot apply " + path +
                              ": libostree applies deltas between commits to bare repositories only, this "
                              "one is of mode archive",
                          G_IO_ERROR_NOT_SUPPORTED);
        OwnTransaction transaction(*repo, own, timeout, task.Cancel());
        ErrorSlot error;
        Ref<GFile> file(g_file_new_for_path(path.c_str()));
        error.Check(ostree_repo_static_delta_execute_offline(repo->get(), file.get(), skip ? TRUE : FALSE,
                                                             task.Cancel(), error));
        transaction.Finish(task.Cancel());
        return nullptr;
      });
}

Napi::Value DeltaInfo(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool, [path = ToString(info[0])](Task &) -> Result {
        return [block = ReadSuperblock(path)](Napi::Env env) -> Napi::Value {
          auto parts = Napi::Array::New(env, block.parts.size());
          for (size_t index = 0; index < block.parts.size(); ++index)
            parts.Set(static_cast<uint32_t>(index), PartToJs(env, block.parts[index]));
          auto fallbacks = Napi::Array::New(env, block.fallbacks.size());
          for (size_t index = 0; index < block.fallbacks.size(); ++index)
            fallbacks.Set(static_cast<uint32_t>(index), FallbackToJs(env, block.fallbacks[index]));
          auto object = Napi::Object::New(env);
          object.Set("from", OptionalToJs(env, block.from));
          object.Set("to", block.to);
          object.Set("timestamp", static_cast<double>(block.timestamp));
          object.Set("commit", CommitToJs(env, block.to, block.commit.get()));
          object.Set("detachedMetadata",
                     block.detached ? trees::metadata_to_js(env, block.detached.get()) : env.Undefined());
          object.Set("inline", block.inline_parts);
          object.Set("parts", parts);
          object.Set("fallbacks", fallbacks);
          return object;
        };
      });
}
