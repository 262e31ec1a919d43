#include "commit.h"

#include <fcntl.h>

#include <filesystem>

#include "modifier.h"
#include "mtree.h"
#include "repo.h"
#include "task.h"
#include "transaction.h"
#include "values.h"
#include "write.h"

namespace {

// libostree names the entry it cannot commit, but not where it is.
void ExplainSpecialFile(const std::string &path) {
  namespace fs = std::filesystem;
  std::error_code failed;
  for (fs::recursive_directory_iterator entry(path, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const fs::file_type type = entry->symlink_status(failed).type();
    if (!failed && type != fs::file_type::regular && type != fs::file_type::directory &&
        type != fs::file_type::symlink)
      throw GlibError("cannot commit " + entry->path().string() + ": not a file, directory or symbolic link",
                      G_IO_ERROR_NOT_SUPPORTED);
  }
}

void WriteTo(OpenRepo &repo, const std::string &path, OstreeMutableTree *tree, const ModifierSpec &spec,
             Task &task) {
  Modifier modifier(spec, task);
  ErrorSlot error;
  if (!ostree_repo_write_dfd_to_mtree(repo.get(), AT_FDCWD, path.c_str(), tree, modifier.get(), task.Cancel(),
                                      error)) {
    if (error.get() != nullptr && g_str_has_prefix(error.get()->message, "Not a regular file or symlink"))
      ExplainSpecialFile(path);
    error.Throw();
  }
  // A callback that failed at the very last entry.
  task.CheckCancelled();
}

} // namespace

Napi::Value CommitDirectory(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info[7], Lane::kAlone,
      [repo = UnwrapRepo(info[0]), path = ToString(info[1]), spec = ToModifierSpec(info[2]),
       fields = ToCommitFields(info[3]), ref = ToOptionalString(info[4]), own = ToBool(info[5]),
       timeout = ToDouble(info[6])](Task &task) -> Result {
        OwnTransaction transaction(*repo, own, timeout, task.Cancel());
        ErrorSlot error;
        Ref<OstreeMutableTree> tree(ostree_mutable_tree_new());
        WriteTo(*repo, path, tree.get(), spec, task);
        Ref<GFile> root;
        error.Check(ostree_repo_write_mtree(repo->get(), tree.get(), root.Out(), task.Cancel(), error));
        std::string checksum = WriteCommitOf(*repo, OSTREE_REPO_FILE(root.get()), fields, task.Cancel());
        if (ref)
          ostree_repo_transaction_set_refspec(repo->get(), ref->c_str(), checksum.c_str());
        transaction.Finish(task.Cancel());
        return [checksum](Napi::Env env) -> Napi::Value { return Napi::String::New(env, checksum); };
      });
}

Napi::Value WriteDirectory(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[4], Lane::kAlone,
                     [repo = UnwrapRepo(info[0]), path = ToString(info[1]), tree = UnwrapTree(info[2]),
                      spec = ToModifierSpec(info[3])](Task &task) -> Result {
                       WriteTo(*repo, path, tree.get(), spec, task);
                       return nullptr;
                     });
}
