#include "mtree.h"

#include "handle.h"
#include "repo.h"
#include "task.h"
#include "values.h"

namespace {

struct TreeHandle {
  Ref<OstreeMutableTree> tree;
};

} // namespace

template <> const napi_type_tag HandleTag<TreeHandle>::tag = {0x4e6a8c0b2d1f3759, 0x6b8d0f214c3e5a79};

namespace {

using Path = std::vector<std::string>;

// What a name of a directory stands for: a file's checksum, a directory, or nothing.
struct Found {
  std::optional<std::string> file;
  Ref<OstreeMutableTree> directory;
  explicit operator bool() const { return file || directory; }
};

struct Entry {
  std::string name;
  std::optional<std::string> file;
  std::optional<std::string> tree;
  std::optional<std::string> meta;
};

std::optional<std::string> OptionalText(const char *text) {
  return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

std::string Join(const Path &path) {
  std::string text;
  for (const std::string &part : path)
    text += "/" + part;
  return text.empty() ? "/" : text;
}

Found Find(OstreeMutableTree *directory, const std::string &name) {
  ErrorSlot error;
  char *checksum_out = nullptr;
  Found found;
  const bool ok = ostree_mutable_tree_lookup(directory, name.c_str(), &checksum_out, found.directory.Out(),
                                             error) != FALSE;
  GString8 checksum(checksum_out);
  if (!ok) {
    // A part of the tree that could not be loaded looks empty.
    ErrorSlot loading;
    loading.Check(ostree_mutable_tree_check_error(directory, loading));
    if (!error.Matches(G_IO_ERROR_NOT_FOUND))
      error.Throw();
  } else if (checksum) {
    found.file = checksum.get();
  }
  return found;
}

// The directory at a path. Throws when something else, or nothing, is there.
Ref<OstreeMutableTree> WalkTo(const Ref<OstreeMutableTree> &root, const Path &path, size_t depth) {
  Ref<OstreeMutableTree> current = root;
  for (size_t index = 0; index < depth; ++index) {
    Found found = Find(current.get(), path[index]);
    if (!found.directory) {
      Path so_far(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(index) + 1);
      if (found.file)
        throw GlibError("not a directory in the tree: " + Join(so_far), G_IO_ERROR_NOT_DIRECTORY);
      throw GlibError("no such directory in the tree: " + Join(so_far), G_IO_ERROR_NOT_FOUND);
    }
    current = std::move(found.directory);
  }
  return current;
}

Entry Describe(std::string name, OstreeMutableTree *directory) {
  return {std::move(name), std::nullopt, OptionalText(ostree_mutable_tree_get_contents_checksum(directory)),
          OptionalText(ostree_mutable_tree_get_metadata_checksum(directory))};
}

Napi::Object EntryToJs(Napi::Env env, const Entry &entry) {
  auto object = Napi::Object::New(env);
  if (entry.file) {
    object.Set("kind", "file");
    object.Set("checksum", *entry.file);
  } else {
    object.Set("kind", "directory");
    object.Set("tree", OptionalToJs(env, entry.tree));
    object.Set("meta", OptionalToJs(env, entry.meta));
  }
  return object;
}

Result HandleResult(Ref<OstreeMutableTree> tree) {
  auto handle = std::make_shared<TreeHandle>();
  handle->tree = std::move(tree);
  return [handle](Napi::Env env) -> Napi::Value { return Wrap(env, handle); };
}

} // namespace

Ref<OstreeMutableTree> UnwrapTree(const Napi::Value &value) {
  Ref<OstreeMutableTree> tree = Unwrap<TreeHandle>(value)->tree;
  if (!tree)
    throw Napi::TypeError::New(value.Env(), "Expected tree to be open, got one that was closed");
  return tree;
}

Napi::Value CreateTree(const Napi::CallbackInfo &info) {
  return HandleResult(Ref<OstreeMutableTree>(ostree_mutable_tree_new()))(info.Env());
}

Napi::Value CloseTree(const Napi::CallbackInfo &info) {
  Unwrap<TreeHandle>(info[0])->tree.Reset();
  return info.Env().Undefined();
}

Napi::Value TreeFromChecksums(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), tree = ToString(info[1]), meta = ToString(info[2])](Task &) {
        return HandleResult(Ref<OstreeMutableTree>(
            ostree_mutable_tree_new_from_checksum(repo->get(), tree.c_str(), meta.c_str())));
      });
}

Napi::Value TreeFromCommit(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), rev = ToString(info[1])](Task &) {
                       ErrorSlot error;
                       Ref<OstreeMutableTree> tree(
                           ostree_mutable_tree_new_from_commit(repo->get(), rev.c_str(), error));
                       error.Check(static_cast<bool>(tree));
                       return HandleResult(std::move(tree));
                     });
}

Napi::Value TreeEnsureDirectory(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [root = UnwrapTree(info[0]), path = ToStrings(info[1]),
                      meta = ToOptionalString(info[2])](Task &) -> Result {
                       Ref<OstreeMutableTree> directory = root;
                       if (!path.empty()) {
                         Ref<OstreeMutableTree> parent = WalkTo(root, path, path.size() - 1);
                         ErrorSlot error;
                         error.Check(ostree_mutable_tree_ensure_dir(parent.get(), path.back().c_str(),
                                                                    directory.Out(), error));
                       }
                       if (meta)
                         ostree_mutable_tree_set_metadata_checksum(directory.get(), meta->c_str());
                       return nullptr;
                     });
}

Napi::Value TreeSetFile(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [root = UnwrapTree(info[0]), path = ToStrings(info[1]),
                      checksum = ToString(info[2])](Task &) -> Result {
                       Ref<OstreeMutableTree> parent = WalkTo(root, path, path.size() - 1);
                       ErrorSlot error;
                       error.Check(ostree_mutable_tree_replace_file(parent.get(), path.back().c_str(),
                                                                    checksum.c_str(), error));
                       return nullptr;
                     });
}

Napi::Value TreeRemove(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [root = UnwrapTree(info[0]), path = ToStrings(info[1]), allow = ToBool(info[2])](Task &) -> Result {
        Ref<OstreeMutableTree> parent = WalkTo(root, path, path.size() - 1);
        ErrorSlot error;
        error.Check(
            ostree_mutable_tree_remove(parent.get(), path.back().c_str(), allow ? TRUE : FALSE, error));
        return nullptr;
      });
}

Napi::Value TreeLookup(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [root = UnwrapTree(info[0]), path = ToStrings(info[1])](Task &) -> Result {
                       Found found;
                       found.directory = root;
                       for (const std::string &name : path) {
                         if (!found.directory)
                           return nullptr;
                         found = Find(Ref<OstreeMutableTree>(found.directory).get(), name);
                       }
                       if (!found)
                         return nullptr;
                       Entry entry = found.directory ? Describe("", found.directory.get())
                                                     : Entry{"", found.file, std::nullopt, std::nullopt};
                       return [entry](Napi::Env env) -> Napi::Value { return EntryToJs(env, entry); };
                     });
}

Napi::Value TreeList(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [root = UnwrapTree(info[0]), path = ToStrings(info[1])](Task &) -> Result {
                       Ref<OstreeMutableTree> directory = WalkTo(root, path, path.size());
                       std::vector<Entry> entries;
                       GHashTableIter iterator;
                       gpointer name = nullptr;
                       gpointer value = nullptr;
                       g_hash_table_iter_init(&iterator, ostree_mutable_tree_get_files(directory.get()));
                       while (g_hash_table_iter_next(&iterator, &name, &value))
                         entries.push_back({static_cast<const char *>(name), static_cast<const char *>(value),
                                            std::nullopt, std::nullopt});
                       g_hash_table_iter_init(&iterator, ostree_mutable_tree_get_subdirs(directory.get()));
                       while (g_hash_table_iter_next(&iterator, &name, &value))
                         entries.push_back(Describe(static_cast<const char *>(name),
                                                    static_cast<OstreeMutableTree *>(value)));
                       ErrorSlot error;
                       error.Check(ostree_mutable_tree_check_error(directory.get(), error));
                       return [entries = std::move(entries)](Napi::Env env) -> Napi::Value {
                         auto array = Napi::Array::New(env, entries.size());
                         for (size_t index = 0; index < entries.size(); ++index) {
                           Napi::Object object = EntryToJs(env, entries[index]);
                           object.Set("name", entries[index].name);
                           array.Set(static_cast<uint32_t>(index), object);
                         }
                         return array;
                       };
                     });
}

Napi::Value WriteTree(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info[2], Lane::kPool,
      [repo = UnwrapRepo(info[0]), tree = UnwrapTree(info[1])](Task &task) -> Result {
        ErrorSlot error;
        Ref<GFile> root;
        error.Check(ostree_repo_write_mtree(repo->get(), tree.get(), root.Out(), task.Cancel(), error));
        auto *file = OSTREE_REPO_FILE(root.get());
        error.Check(ostree_repo_file_ensure_resolved(file, error));
        std::vector<std::string> checksums = {ostree_repo_file_tree_get_contents_checksum(file),
                                              ostree_repo_file_tree_get_metadata_checksum(file)};
        return [checksums](Napi::Env env) -> Napi::Value { return StringsToJs(env, checksums); };
      });
}
