#include "walk.h"

#include <cstring>
#include <unordered_map>

#include "dirtree.h"
#include "repo.h"
#include "task.h"
#include "values.h"

namespace {

// Only damaged objects nest deeper: a tree cannot contain itself unless a checksum lies.
constexpr size_t kMaxDepth = 2048;

void CheckDepth(size_t depth) {
  if (depth > kMaxDepth)
    throw GlibError("directories nest more than 2048 deep: the repository is damaged",
                    G_IO_ERROR_INVALID_DATA);
}

struct WalkEntry {
  std::string path;
  std::string checksum;
  // Empty for files.
  std::string meta;
};

// Depth first, names in byte order. Keeps one dirtree per level, so memory grows with depth only.
struct Walk {
  struct Level {
    std::string path; // "" for the root
    DirTree tree;
    size_t file = 0;
    size_t dir = 0;
  };

  std::mutex mutex;
  std::shared_ptr<OpenRepo> repo;
  WalkEntry root;
  bool started = false;
  std::vector<Level> levels;

  // False at the end.
  bool Next(WalkEntry &entry) {
    if (!started) {
      started = true;
      entry = root;
      levels.push_back({"", DirTree(repo->get(), root.checksum)});
      return true;
    }
    while (!levels.empty()) {
      Level &level = levels.back();
      const bool has_file = level.file < level.tree.FileCount();
      const bool has_dir = level.dir < level.tree.DirCount();
      if (!has_file && !has_dir) {
        levels.pop_back();
        continue;
      }
      if (has_file && (!has_dir || std::strcmp(level.tree.FileName(level.file).c_str(),
                                               level.tree.DirName(level.dir).c_str()) < 0)) {
        entry = {level.path + "/" + level.tree.FileName(level.file), level.tree.FileChecksum(level.file), ""};
        level.file += 1;
        return true;
      }
      entry = {level.path + "/" + level.tree.DirName(level.dir), level.tree.DirChecksum(level.dir),
               level.tree.DirMeta(level.dir)};
      level.dir += 1;
      CheckDepth(levels.size());
      levels.push_back({entry.path, DirTree(repo->get(), entry.checksum)});
      return true;
    }
    return false;
  }
};

struct Size {
  double files = 0;
  double bytes = 0;
};

// Sums up a tree; trees and files that occur again are not looked at again.
class Sizer {
public:
  Sizer(OstreeRepo *repo, Task &task) : repo_(repo), task_(task) {}

  Size Tree(const std::string &checksum, size_t depth = 0) {
    CheckDepth(depth);
    auto known = trees_.find(checksum);
    if (known != trees_.end())
      return known->second;
    task_.CheckCancelled();
    DirTree tree(repo_, checksum);
    Size size;
    for (size_t index = 0; index < tree.FileCount(); ++index) {
      size.files += 1;
      size.bytes += File(tree.FileChecksum(index));
    }
    for (size_t index = 0; index < tree.DirCount(); ++index) {
      Size below = Tree(tree.DirChecksum(index), depth + 1);
      size.files += below.files;
      size.bytes += below.bytes;
    }
    trees_[checksum] = size;
    return size;
  }

private:
  double File(const std::string &checksum) {
    auto known = files_.find(checksum);
    if (known != files_.end())
      return known->second;
    ErrorSlot error;
    Ref<GFileInfo> info;
    error.Check(
        ostree_repo_load_file(repo_, checksum.c_str(), nullptr, info.Out(), nullptr, task_.Cancel(), error));
    const bool regular = g_file_info_get_file_type(info.get()) == G_FILE_TYPE_REGULAR;
    const double bytes = regular ? static_cast<double>(g_file_info_get_size(info.get())) : 0;
    files_[checksum] = bytes;
    return bytes;
  }

  OstreeRepo *repo_;
  Task &task_;
  std::unordered_map<std::string, Size> trees_;
  std::unordered_map<std::string, double> files_;
};

} // namespace

template <> const napi_type_tag HandleTag<Walk>::tag = {0x9b7d5f3e1c0a2846, 0x5d7f9b1c3e0a2648};

Napi::Value StartWalk(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), rev = ToString(info[1])](Task &) -> Result {
                       CommitRoot root = LoadRoot(repo->get(), rev);
                       auto walk = std::make_shared<Walk>();
                       walk->repo = repo;
                       walk->root = {"/", root.tree, root.meta};
                       return [walk](Napi::Env env) -> Napi::Value { return Wrap(env, walk); };
                     });
}

Napi::Value ContinueWalk(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info[2], Lane::kPool,
      [walk = Unwrap<Walk>(info[0]), count = static_cast<size_t>(ToInt(info[1]))](Task &task) -> Result {
        std::lock_guard<std::mutex> guard(walk->mutex);
        std::vector<WalkEntry> entries;
        WalkEntry entry;
        while (entries.size() < count && walk->Next(entry)) {
          task.CheckCancelled();
          entries.push_back(std::move(entry));
        }
        return [entries = std::move(entries)](Napi::Env env) -> Napi::Value {
          auto array = Napi::Array::New(env, entries.size());
          for (size_t index = 0; index < entries.size(); ++index) {
            const WalkEntry &item = entries[index];
            auto object = Napi::Object::New(env);
            object.Set("path", item.path);
            object.Set("kind", item.meta.empty() ? "file" : "directory");
            object.Set("checksum", item.checksum);
            object.Set("meta", item.meta.empty() ? env.Undefined() : Napi::String::New(env, item.meta));
            array.Set(static_cast<uint32_t>(index), object);
          }
          return array;
        };
      });
}

Napi::Value CommitSize(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[2], Lane::kPool,
                     [repo = UnwrapRepo(info[0]), commit = ToString(info[1])](Task &task) -> Result {
                       Size size = Sizer(repo->get(), task).Tree(LoadRoot(repo->get(), commit).tree);
                       return [size](Napi::Env env) -> Napi::Value {
                         auto object = Napi::Object::New(env);
                         object.Set("files", size.files);
                         object.Set("size", size.bytes);
                         return object;
                       };
                     });
}

Napi::Value TraverseCommit(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info[3], Lane::kPool,
      [repo = UnwrapRepo(info[0]), commit = ToString(info[1]), depth = ToInt(info[2])](Task &task) -> Result {
        ErrorSlot error;
        Ref<GHashTable> reachable;
        error.Check(ostree_repo_traverse_commit(repo->get(), commit.c_str(), depth, reachable.Out(),
                                                task.Cancel(), error));
        return [names = ToObjectNames(reachable.get())](Napi::Env env) -> Napi::Value {
          return ObjectNamesToJs(env, names);
        };
      });
}
