#include "write.h"

#include "task.h"
#include "values.h"
#include "variant.h"

namespace {

Result ChecksumResult(std::string checksum) {
  return [checksum = std::move(checksum)](Napi::Env env) -> Napi::Value {
    return Napi::String::New(env, checksum);
  };
}

std::string WriteMetadata(OpenRepo &repo, OstreeObjectType type, GVariant *object,
                          GCancellable *cancellable) {
  ErrorSlot error;
  guchar *out = nullptr;
  error.Check(ostree_repo_write_metadata(repo.get(), type, nullptr, object, &out, cancellable, error));
  GBlob checksum(out);
  return ToChecksum(checksum.get());
}

void RequireObject(OpenRepo &repo, OstreeObjectType type, const std::string &checksum,
                   GCancellable *cancellable) {
  ErrorSlot error;
  gboolean has = FALSE;
  error.Check(ostree_repo_has_object(repo.get(), type, checksum.c_str(), &has, cancellable, error));
  if (!has)
    throw GlibError("cannot write commit: no such object " + checksum + "." + ObjectTypeName(type),
                    G_IO_ERROR_NOT_FOUND);
}

} // namespace

CommitFields ToCommitFields(const Napi::Value &value) {
  auto object = value.As<Napi::Object>();
  return {ToOptionalString(object.Get("parent")), ToString(object.Get("subject")),
          ToString(object.Get("body")), static_cast<guint64>(ToDouble(object.Get("timestamp"))),
          ToMetadata(object.Get("metadata"))};
}

std::string WriteCommitOf(OpenRepo &repo, OstreeRepoFile *root, const CommitFields &fields,
                          GCancellable *cancellable) {
  ErrorSlot error;
  char *out = nullptr;
  error.Check(ostree_repo_write_commit_with_time(repo.get(), OrNull(fields.parent), fields.subject.c_str(),
                                                 fields.body.c_str(), fields.metadata.get(), root,
                                                 fields.timestamp, &out, cancellable, error));
  GString8 checksum(out);
  return checksum.get();
}

Napi::Value WriteDetachedMetadata(const Napi::CallbackInfo &info) {
  Ref<GVariant> metadata;
  if (!info[2].IsUndefined())
    metadata = ToMetadata(info[2]);
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), checksum = ToString(info[1]), metadata](Task &task) -> Result {
        ErrorSlot error;
        error.Check(ostree_repo_write_commit_detached_metadata(repo->get(), checksum.c_str(), metadata.get(),
                                                               task.Cancel(), error));
        return nullptr;
      });
}

Napi::Value WriteDirTree(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), files = ToStrings(info[1]),
       dirs = ToStrings(info[2])](Task &task) -> Result {
        GVariantBuilder file_builder;
        GVariantBuilder dir_builder;
        g_variant_builder_init(&file_builder, G_VARIANT_TYPE("a(say)"));
        g_variant_builder_init(&dir_builder, G_VARIANT_TYPE("a(sayay)"));
        for (size_t index = 0; index + 1 < files.size(); index += 2)
          g_variant_builder_add(&file_builder, "(s@ay)", files[index].c_str(),
                                ostree_checksum_to_bytes_v(files[index + 1].c_str()));
        for (size_t index = 0; index + 2 < dirs.size(); index += 3)
          g_variant_builder_add(&dir_builder, "(s@ay@ay)", dirs[index].c_str(),
                                ostree_checksum_to_bytes_v(dirs[index + 1].c_str()),
                                ostree_checksum_to_bytes_v(dirs[index + 2].c_str()));
        Ref<GVariant> tree = SinkVariant(g_variant_new(
            "(@a(say)@a(sayay))", g_variant_builder_end(&file_builder), g_variant_builder_end(&dir_builder)));
        return ChecksumResult(WriteMetadata(*repo, OSTREE_OBJECT_TYPE_DIR_TREE, tree.get(), task.Cancel()));
      });
}

Napi::Value WriteDirTrees(const Napi::CallbackInfo &info) {
  auto array = info[1].As<Napi::Array>();
  std::vector<Ref<GBytes>> objects;
  for (uint32_t index = 0; index < array.Length(); ++index) {
    auto input = array.Get(index).As<Napi::Uint8Array>();
    objects.emplace_back(g_bytes_new(input.Data(), input.ByteLength()));
  }
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), objects = std::move(objects)](Task &task) -> Result {
        std::vector<std::string> checksums;
        for (const Ref<GBytes> &object : objects) {
          Ref<GVariant> tree =
              SinkVariant(g_variant_new_from_bytes(OSTREE_TREE_GVARIANT_FORMAT, object.get(), FALSE));
          if (!g_variant_is_normal_form(tree.get()))
            throw GlibError("cannot write dirtree: it is not in normal form", G_IO_ERROR_INVALID_DATA);
          ErrorSlot error;
          error.Check(ostree_validate_structureof_dirtree(tree.get(), error));
          checksums.push_back(WriteMetadata(*repo, OSTREE_OBJECT_TYPE_DIR_TREE, tree.get(), task.Cancel()));
        }
        return [checksums = std::move(checksums)](Napi::Env env) -> Napi::Value {
          return StringsToJs(env, checksums);
        };
      });
}

Napi::Value WriteDirMeta(const Napi::CallbackInfo &info) {
  const uint32_t uid = info[1].As<Napi::Number>().Uint32Value();
  const uint32_t gid = info[2].As<Napi::Number>().Uint32Value();
  const uint32_t mode = info[3].As<Napi::Number>().Uint32Value();
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), uid, gid, mode, xattrs = ToXattrs(info[4])](Task &task) -> Result {
        Ref<GVariant> meta = SinkVariant(g_variant_new(
            "(uuu@a(ayay))", GUINT32_TO_BE(uid), GUINT32_TO_BE(gid), GUINT32_TO_BE(mode), xattrs.get()));
        return ChecksumResult(WriteMetadata(*repo, OSTREE_OBJECT_TYPE_DIR_META, meta.get(), task.Cancel()));
      });
}

Napi::Value WriteRegular(const Napi::CallbackInfo &info) {
  auto input = info[1].As<Napi::Uint8Array>();
  // A copy: the caller may change or transfer its buffer while the object is written.
  Ref<GBytes> content(g_bytes_new(input.Data(), input.ByteLength()));
  const uint32_t uid = info[2].As<Napi::Number>().Uint32Value();
  const uint32_t gid = info[3].As<Napi::Number>().Uint32Value();
  const uint32_t mode = info[4].As<Napi::Number>().Uint32Value();
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), content, uid, gid, mode, xattrs = ToXattrs(info[5])](Task &task) {
        ErrorSlot error;
        gsize size = 0;
        const void *data = g_bytes_get_data(content.get(), &size);
        static const guint8 kNothing = 0;
        const auto *bytes = data == nullptr ? &kNothing : static_cast<const guint8 *>(data);
        GString8 checksum(ostree_repo_write_regfile_inline(repo->get(), nullptr, uid, gid, mode, xattrs.get(),
                                                           bytes, size, task.Cancel(), error));
        error.Check(checksum != nullptr);
        return ChecksumResult(checksum.get());
      });
}

Napi::Value WriteSymlink(const Napi::CallbackInfo &info) {
  const uint32_t uid = info[2].As<Napi::Number>().Uint32Value();
  const uint32_t gid = info[3].As<Napi::Number>().Uint32Value();
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), target = ToString(info[1]), uid, gid,
                      xattrs = ToXattrs(info[4])](Task &task) {
                       ErrorSlot error;
                       GString8 checksum(ostree_repo_write_symlink(repo->get(), nullptr, uid, gid,
                                                                   xattrs.get(), target.c_str(),
                                                                   task.Cancel(), error));
                       error.Check(checksum != nullptr);
                       return ChecksumResult(checksum.get());
                     });
}

Napi::Value WriteCommit(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), tree = ToString(info[1]), meta = ToString(info[2]),
       fields = ToCommitFields(info[3])](Task &task) {
        RequireObject(*repo, OSTREE_OBJECT_TYPE_DIR_TREE, tree, task.Cancel());
        RequireObject(*repo, OSTREE_OBJECT_TYPE_DIR_META, meta, task.Cancel());
        ErrorSlot error;
        // The only public way to name a root by its two checksums.
        Ref<OstreeMutableTree> named(
            ostree_mutable_tree_new_from_checksum(repo->get(), tree.c_str(), meta.c_str()));
        Ref<GFile> root;
        error.Check(ostree_repo_write_mtree(repo->get(), named.get(), root.Out(), task.Cancel(), error));
        return ChecksumResult(WriteCommitOf(*repo, OSTREE_REPO_FILE(root.get()), fields, task.Cancel()));
      });
}
