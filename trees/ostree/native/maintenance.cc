#include "maintenance.h"

#include <chrono>
#include <set>
#include <tuple>

#include "dirtree.h"
#include "lock.h"
#include "repo.h"
#include "task.h"
#include "values.h"

namespace {

struct Problem {
  ObjectName object;
  bool missing;
  std::string message;
};

Napi::Object ProblemToJs(Napi::Env env, const Problem &problem) {
  auto object = Napi::Object::New(env);
  object.Set("type", ObjectTypeName(problem.object.type));
  object.Set("checksum", problem.object.checksum);
  object.Set("problem", problem.missing ? "missing" : "corrupt");
  object.Set("message", problem.message);
  return object;
}

std::optional<Problem> CheckObject(OstreeRepo *repo, const ObjectName &object, Task &task) {
  ErrorSlot error;
  if (ostree_repo_fsck_object(repo, object.type, object.checksum.c_str(), task.Cancel(), error))
    return std::nullopt;
  task.CheckCancelled();
  return Problem{object, error.Matches(G_IO_ERROR_NOT_FOUND), error.get() ? error.get()->message : "unknown"};
}

bool IsPartial(OstreeRepo *repo, const std::string &commit) {
  ErrorSlot error;
  OstreeRepoCommitState state = OSTREE_REPO_COMMIT_STATE_NORMAL;
  error.Check(ostree_repo_load_commit(repo, commit.c_str(), nullptr, &state, error));
  return (state & OSTREE_REPO_COMMIT_STATE_PARTIAL) != 0;
}

// Collects what commits reach and verifies each object once. Goes on where something is missing.
class Checker {
public:
  Checker(OstreeRepo *repo, Task &task, FunctionHolder on_progress)
      : repo_(repo), task_(task), on_progress_(std::move(on_progress)) {}

  std::vector<Problem> Run(const std::optional<std::vector<std::string>> &commits) {
    for (const std::string &commit : commits ? *commits : AllCommits())
      Commit(commit);
    for (const ObjectName &object : queue_) {
      task_.CheckCancelled();
      std::optional<Problem> problem = CheckObject(repo_, object, task_);
      // What a partial commit lacks is no news.
      if (problem && !(problem->missing && optional_.count(Key(object)) > 0))
        problems_.push_back(*problem);
      checked_ += 1;
      Report(false);
    }
    Report(true);
    return std::move(problems_);
  }

private:
  using ObjectKey = std::pair<std::string, int>;
  static ObjectKey Key(const ObjectName &object) { return {object.checksum, object.type}; }

  std::vector<std::string> AllCommits() {
    ErrorSlot error;
    Ref<GHashTable> set;
    error.Check(ostree_repo_list_commit_objects_starting_with(repo_, "", set.Out(), task_.Cancel(), error));
    std::set<std::string> commits;
    for (const ObjectName &object : ToObjectNames(set.get()))
      commits.insert(object.checksum);
    // A ref to a commit that is gone.
    Ref<GHashTable> refs;
    error.Check(ostree_repo_list_refs(repo_, nullptr, refs.Out(), task_.Cancel(), error));
    GHashTableIter iterator;
    gpointer checksum = nullptr;
    g_hash_table_iter_init(&iterator, refs.get());
    while (g_hash_table_iter_next(&iterator, nullptr, &checksum))
      commits.insert(static_cast<const char *>(checksum));
    return {commits.begin(), commits.end()};
  }

  void Commit(const std::string &commit) {
    Add({OSTREE_OBJECT_TYPE_COMMIT, commit}, false);
    try {
      const bool partial = IsPartial(repo_, commit);
      CommitRoot root = LoadRoot(repo_, commit);
      Add({OSTREE_OBJECT_TYPE_DIR_META, root.meta}, partial);
      Tree(root.tree, partial, 0);
    } catch (const GlibError &) {
      // Verifying the commit object tells.
      task_.CheckCancelled();
    }
  }

  void Tree(const std::string &checksum, bool partial, int depth) {
    if (!Add({OSTREE_OBJECT_TYPE_DIR_TREE, checksum}, partial) || depth > kMaxDepth)
      return;
    task_.CheckCancelled();
    std::optional<DirTree> tree;
    try {
      tree.emplace(repo_, checksum);
    } catch (const GlibError &) {
      // Verifying the object tells.
      return;
    }
    for (size_t index = 0; index < tree->FileCount(); ++index)
      Add({OSTREE_OBJECT_TYPE_FILE, tree->FileChecksum(index)}, partial);
    for (size_t index = 0; index < tree->DirCount(); ++index) {
      Add({OSTREE_OBJECT_TYPE_DIR_META, tree->DirMeta(index)}, partial);
      Tree(tree->DirChecksum(index), partial, depth + 1);
    }
  }

  // False when it was seen already, by a commit that needs it no less.
  bool Add(const ObjectName &object, bool optional) {
    const bool fresh = seen_.insert(Key(object)).second;
    if (fresh)
      queue_.push_back(object);
    if (optional && fresh)
      optional_.insert(Key(object));
    const bool promoted = !optional && optional_.erase(Key(object)) > 0;
    return fresh || promoted;
  }

  void Report(bool force) {
    const auto now = std::chrono::steady_clock::now();
    if (!on_progress_ || (!force && now - last_report_ < std::chrono::milliseconds(50)))
      return;
    last_report_ = now;
    // The last report is waited for: it must not come after the promise.
    auto call = [holder = on_progress_, checked = checked_, total = queue_.size()](Napi::Env env) {
      auto progress = Napi::Object::New(env);
      progress.Set("checked", static_cast<double>(checked));
      progress.Set("total", static_cast<double>(total));
      holder->Call({progress});
    };
    if (force) {
      task_.Call(call);
      task_.CheckCancelled();
    } else {
      task_.Notify(call);
    }
  }

  static constexpr int kMaxDepth = 2048;
  OstreeRepo *repo_;
  Task &task_;
  FunctionHolder on_progress_;
  std::set<ObjectKey> seen_;
  std::set<ObjectKey> optional_;
  std::vector<ObjectName> queue_;
  std::vector<Problem> problems_;
  size_t checked_ = 0;
  std::chrono::steady_clock::time_point last_report_{};
};

} // namespace

Napi::Value Prune(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[5], Lane::kAlone,
                     [repo = UnwrapRepo(info[0]), refs_only = ToBool(info[1]), depth = ToInt(info[2]),
                      dry_run = ToBool(info[3]), timeout = ToDouble(info[4])](Task &task) -> Result {
                       int flags = OSTREE_REPO_PRUNE_FLAGS_NONE;
                       if (refs_only)
                         flags |= OSTREE_REPO_PRUNE_FLAGS_REFS_ONLY;
                       if (dry_run)
                         flags |= OSTREE_REPO_PRUNE_FLAGS_NO_PRUNE;
                       // Around the whole of it: some versions look for what is reachable before they take
                       // the lock.
                       LockGuard lock(*repo, true, timeout, task.Cancel());
                       ErrorSlot error;
                       gint total = 0;
                       gint pruned = 0;
                       guint64 freed = 0;
                       error.Check(ostree_repo_prune(repo->get(), static_cast<OstreeRepoPruneFlags>(flags),
                                                     depth, &total, &pruned, &freed, task.Cancel(), error));
                       return [total, pruned, freed](Napi::Env env) -> Napi::Value {
                         auto object = Napi::Object::New(env);
                         object.Set("objectsTotal", total);
                         object.Set("objectsPruned", pruned);
                         object.Set("freed", static_cast<double>(freed));
                         return object;
                       };
                     });
}

Napi::Value FsckObject(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), type = ToObjectType(info[1]),
                      checksum = ToString(info[2])](Task &task) -> Result {
                       std::optional<Problem> problem = CheckObject(repo->get(), {type, checksum}, task);
                       return [problem](Napi::Env env) -> Napi::Value {
                         return problem ? ProblemToJs(env, *problem) : env.Undefined();
                       };
                     });
}

Napi::Value Fsck(const Napi::CallbackInfo &info) {
  std::optional<std::vector<std::string>> commits;
  if (!info[1].IsUndefined())
    commits = ToStrings(info[1]);
  return Task::Start(
      info.Env(), info[3], Lane::kAlone,
      [repo = UnwrapRepo(info[0]), commits, on_progress = HoldFunction(info[2])](Task &task) -> Result {
        std::vector<Problem> problems = Checker(repo->get(), task, on_progress).Run(commits);
        return [problems = std::move(problems)](Napi::Env env) -> Napi::Value {
          auto array = Napi::Array::New(env, problems.size());
          for (size_t index = 0; index < problems.size(); ++index)
            array.Set(static_cast<uint32_t>(index), ProblemToJs(env, problems[index]));
          return array;
        };
      });
}

Napi::Value SetCommitPartial(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), commit = ToString(info[1]), partial = ToBool(info[2])](Task &) -> Result {
        ErrorSlot error;
        error.Check(
            ostree_repo_mark_commit_partial(repo->get(), commit.c_str(), partial ? TRUE : FALSE, error));
        return nullptr;
      });
}

Napi::Value IsCommitPartial(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), commit = ToString(info[1])](Task &) -> Result {
                       const bool partial = IsPartial(repo->get(), commit);
                       return [partial](Napi::Env env) -> Napi::Value {
                         return Napi::Boolean::New(env, partial);
                       };
                     });
}
