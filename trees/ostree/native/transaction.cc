#include "transaction.h"

#include "lock.h"
#include "task.h"
#include "values.h"

bool BeginTransaction(OpenRepo &repo, double timeout, GCancellable *cancellable) {
  // libostree takes the lock again, which is immediate then, and keeps it until the transaction ends.
  LockGuard lock(repo, false, timeout, cancellable);
  ErrorSlot error;
  gboolean resumed = FALSE;
  error.Check(ostree_repo_prepare_transaction(repo.get(), &resumed, cancellable, error));
  repo.in_transaction = true;
  return resumed != FALSE;
}

OstreeRepoTransactionStats FinishTransaction(OpenRepo &repo, GCancellable *cancellable) {
  ErrorSlot error;
  OstreeRepoTransactionStats stats = {};
  if (!ostree_repo_commit_transaction(repo.get(), &stats, cancellable, error)) {
    CancelTransaction(repo);
    error.Throw();
  }
  repo.in_transaction = false;
  return stats;
}

void CancelTransaction(OpenRepo &repo) {
  repo.in_transaction = false;
  ostree_repo_abort_transaction(repo.get(), nullptr, nullptr);
}

OwnTransaction::OwnTransaction(OpenRepo &repo, bool own, double timeout, GCancellable *cancellable)
    : repo_(repo), own_(own) {
  if (own_)
    BeginTransaction(repo, timeout, cancellable);
}

OwnTransaction::~OwnTransaction() {
  if (own_)
    CancelTransaction(repo_);
}

void OwnTransaction::Finish(GCancellable *cancellable) {
  if (!own_)
    return;
  own_ = false;
  FinishTransaction(repo_, cancellable);
}

Napi::Value PrepareTransaction(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[2], Lane::kAlone,
                     [repo = UnwrapRepo(info[0]), timeout = ToDouble(info[1])](Task &task) -> Result {
                       const bool resumed = BeginTransaction(*repo, timeout, task.Cancel());
                       return [resumed](Napi::Env env) -> Napi::Value {
                         return Napi::Boolean::New(env, resumed);
                       };
                     });
}

Napi::Value TransactionSetRef(const Napi::CallbackInfo &info) {
  std::shared_ptr<OpenRepo> repo = UnwrapRepo(info[0]);
  if (!repo->in_transaction)
    throw Napi::TypeError::New(info.Env(), "Expected a transaction to be open, got none");
  std::string refspec = ToString(info[1]);
  std::optional<std::string> checksum = ToOptionalString(info[2]);
  ostree_repo_transaction_set_refspec(repo->get(), refspec.c_str(), OrNull(checksum));
  return info.Env().Undefined();
}

Napi::Value CommitTransaction(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[1], Lane::kAlone, [repo = UnwrapRepo(info[0])](Task &task) -> Result {
    OstreeRepoTransactionStats stats = FinishTransaction(*repo, task.Cancel());
    return [stats](Napi::Env env) -> Napi::Value {
      auto object = Napi::Object::New(env);
      object.Set("metadataObjectsTotal", stats.metadata_objects_total);
      object.Set("metadataObjectsWritten", stats.metadata_objects_written);
      object.Set("contentObjectsTotal", stats.content_objects_total);
      object.Set("contentObjectsWritten", stats.content_objects_written);
      object.Set("contentBytesWritten", static_cast<double>(stats.content_bytes_written));
      object.Set("devInoCacheHits", stats.devino_cache_hits);
      return object;
    };
  });
}

Napi::Value AbortTransaction(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kAlone,
                     [repo = UnwrapRepo(info[0])](Task &) -> Result {
                       CancelTransaction(*repo);
                       return nullptr;
                     });
}
