#include "objects.h"

#include "../../native-support/variant.h"
#include "repo.h"
#include "task.h"
#include "values.h"

Napi::Object CommitToJs(Napi::Env env, const std::string &checksum, GVariant *commit) {
  Ref<GVariant> metadata(g_variant_get_child_value(commit, 0));
  Ref<GVariant> parent(g_variant_get_child_value(commit, 1));
  Ref<GVariant> subject(g_variant_get_child_value(commit, 3));
  Ref<GVariant> body(g_variant_get_child_value(commit, 4));
  Ref<GVariant> tree(g_variant_get_child_value(commit, 6));
  Ref<GVariant> meta(g_variant_get_child_value(commit, 7));
  auto object = Napi::Object::New(env);
  object.Set("checksum", checksum);
  object.Set("parent", OptionalToJs(env, ToOptionalChecksum(parent.get(), "parent of commit")));
  object.Set("subject", g_variant_get_string(subject.get(), nullptr));
  object.Set("body", g_variant_get_string(body.get(), nullptr));
  // Big-endian in the object; the accessor converts.
  object.Set("timestamp", static_cast<double>(ostree_commit_get_timestamp(commit)));
  object.Set("metadata", trees::metadata_to_js(env, metadata.get()));
  object.Set("rootTree", ToChecksum(tree.get(), "root tree of commit"));
  object.Set("rootMeta", ToChecksum(meta.get(), "root metadata of commit"));
  return object;
}

namespace {

Ref<GVariant> Load(OpenRepo &repo, OstreeObjectType type, const std::string &checksum) {
  ErrorSlot error;
  Ref<GVariant> object;
  error.Check(ostree_repo_load_variant(repo.get(), type, checksum.c_str(), object.Out(), error));
  return object;
}

} // namespace

Napi::Value HasObject(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), type = ToObjectType(info[1]),
       checksum = ToString(info[2])](Task &task) -> Result {
        ErrorSlot error;
        gboolean has = FALSE;
        error.Check(ostree_repo_has_object(repo->get(), type, checksum.c_str(), &has, task.Cancel(), error));
        return [has](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, has != FALSE); };
      });
}

Napi::Value ObjectSize(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), type = ToObjectType(info[1]),
                      checksum = ToString(info[2])](Task &task) -> Result {
                       ErrorSlot error;
                       guint64 size = 0;
                       error.Check(ostree_repo_query_object_storage_size(repo->get(), type, checksum.c_str(),
                                                                         &size, task.Cancel(), error));
                       return [size](Napi::Env env) -> Napi::Value {
                         return Napi::Number::New(env, static_cast<double>(size));
                       };
                     });
}

Napi::Value DeleteObject(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), type = ToObjectType(info[1]),
       checksum = ToString(info[2])](Task &task) -> Result {
        ErrorSlot error;
        error.Check(ostree_repo_delete_object(repo->get(), type, checksum.c_str(), task.Cancel(), error));
        return nullptr;
      });
}

Napi::Value ListObjects(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[1], Lane::kPool, [repo = UnwrapRepo(info[0])](Task &task) -> Result {
    ErrorSlot error;
    Ref<GHashTable> objects;
    auto flags = static_cast<OstreeRepoListObjectsFlags>(OSTREE_REPO_LIST_OBJECTS_ALL |
                                                         OSTREE_REPO_LIST_OBJECTS_NO_PARENTS);
    error.Check(ostree_repo_list_objects(repo->get(), flags, objects.Out(), task.Cancel(), error));
    return [names = ToObjectNames(objects.get())](Napi::Env env) -> Napi::Value {
      return ObjectNamesToJs(env, names);
    };
  });
}

Napi::Value ReadCommit(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), checksum = ToString(info[1])](Task &) -> Result {
                       Ref<GVariant> commit = Load(*repo, OSTREE_OBJECT_TYPE_COMMIT, checksum);
                       return [commit, checksum](Napi::Env env) -> Napi::Value {
                         return CommitToJs(env, checksum, commit.get());
                       };
                     });
}

Napi::Value ReadCommitBytes(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), checksum = ToString(info[1])](Task &) -> Result {
                       Ref<GVariant> commit = Load(*repo, OSTREE_OBJECT_TYPE_COMMIT, checksum);
                       return [commit](Napi::Env env) -> Napi::Value {
                         return BytesToJs(env, g_variant_get_data(commit.get()),
                                          g_variant_get_size(commit.get()));
                       };
                     });
}

Napi::Value ReadDirTree(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), checksum = ToString(info[1])](Task &) -> Result {
                       Ref<GVariant> tree = Load(*repo, OSTREE_OBJECT_TYPE_DIR_TREE, checksum);
                       ErrorSlot error;
                       // Names with slashes and the like must not get out.
                       error.Check(ostree_validate_structureof_dirtree(tree.get(), error));
                       return [tree](Napi::Env env) -> Napi::Value {
                         Ref<GVariant> files(g_variant_get_child_value(tree.get(), 0));
                         Ref<GVariant> dirs(g_variant_get_child_value(tree.get(), 1));
                         const size_t file_count = g_variant_n_children(files.get());
                         const size_t dir_count = g_variant_n_children(dirs.get());
                         auto file_array = Napi::Array::New(env, file_count);
                         auto dir_array = Napi::Array::New(env, dir_count);
                         for (size_t index = 0; index < file_count; ++index) {
                           Ref<GVariant> entry(g_variant_get_child_value(files.get(), index));
                           Ref<GVariant> name(g_variant_get_child_value(entry.get(), 0));
                           Ref<GVariant> file(g_variant_get_child_value(entry.get(), 1));
                           auto object = Napi::Object::New(env);
                           object.Set("name", g_variant_get_string(name.get(), nullptr));
                           object.Set("checksum", ToChecksum(file.get(), "file of dirtree"));
                           file_array.Set(static_cast<uint32_t>(index), object);
                         }
                         for (size_t index = 0; index < dir_count; ++index) {
                           Ref<GVariant> entry(g_variant_get_child_value(dirs.get(), index));
                           Ref<GVariant> name(g_variant_get_child_value(entry.get(), 0));
                           Ref<GVariant> subtree(g_variant_get_child_value(entry.get(), 1));
                           Ref<GVariant> meta(g_variant_get_child_value(entry.get(), 2));
                           auto object = Napi::Object::New(env);
                           object.Set("name", g_variant_get_string(name.get(), nullptr));
                           object.Set("tree", ToChecksum(subtree.get(), "directory of dirtree"));
                           object.Set("meta", ToChecksum(meta.get(), "directory metadata of dirtree"));
                           dir_array.Set(static_cast<uint32_t>(index), object);
                         }
                         auto object = Napi::Object::New(env);
                         object.Set("files", file_array);
                         object.Set("dirs", dir_array);
                         return object;
                       };
                     });
}

Napi::Value ReadDirMeta(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), checksum = ToString(info[1])](Task &) -> Result {
                       Ref<GVariant> meta = Load(*repo, OSTREE_OBJECT_TYPE_DIR_META, checksum);
                       ErrorSlot error;
                       error.Check(ostree_validate_structureof_dirmeta(meta.get(), error));
                       return [meta](Napi::Env env) -> Napi::Value {
                         guint32 uid = 0;
                         guint32 gid = 0;
                         guint32 mode = 0;
                         Ref<GVariant> xattrs;
                         g_variant_get(meta.get(), "(uuu@a(ayay))", &uid, &gid, &mode, xattrs.Out());
                         auto object = Napi::Object::New(env);
                         object.Set("uid", GUINT32_FROM_BE(uid));
                         object.Set("gid", GUINT32_FROM_BE(gid));
                         object.Set("mode", GUINT32_FROM_BE(mode));
                         object.Set("xattrs", XattrsToJs(env, xattrs.get()));
                         return object;
                       };
                     });
}

Napi::Value ReadDetachedMetadata(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), checksum = ToString(info[1])](Task &task) -> Result {
                       ErrorSlot error;
                       Ref<GVariant> metadata;
                       error.Check(ostree_repo_read_commit_detached_metadata(
                           repo->get(), checksum.c_str(), metadata.Out(), task.Cancel(), error));
                       return [metadata](Napi::Env env) -> Napi::Value {
                         // Deleting leaves an empty file behind.
                         if (!metadata || g_variant_n_children(metadata.get()) == 0)
                           return env.Undefined();
                         return trees::metadata_to_js(env, metadata.get());
                       };
                     });
}
