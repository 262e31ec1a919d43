#pragma once

#include <napi.h>

#include "repo.h"

// Begins a transaction, waiting for the shared lock up to `timeout` seconds. Returns whether staged objects
// of an interrupted one were picked up.
bool BeginTransaction(OpenRepo &repo, double timeout, GCancellable *cancellable);
// Commits; aborts when that fails.
OstreeRepoTransactionStats FinishTransaction(OpenRepo &repo, GCancellable *cancellable);
void CancelTransaction(OpenRepo &repo);

// A transaction around a piece of work, unless there is one open already. Aborts when destroyed before
// Finish.
class OwnTransaction {
public:
  OwnTransaction(OpenRepo &repo, bool own, double timeout, GCancellable *cancellable);
  ~OwnTransaction();
  OwnTransaction(const OwnTransaction &) = delete;
  OwnTransaction &operator=(const OwnTransaction &) = delete;
  void Finish(GCancellable *cancellable);

private:
  OpenRepo &repo_;
  bool own_;
};

Napi::Value PrepareTransaction(const Napi::CallbackInfo &info);
Napi::Value TransactionSetRef(const Napi::CallbackInfo &info);
Napi::Value CommitTransaction(const Napi::CallbackInfo &info);
Napi::Value AbortTransaction(const Napi::CallbackInfo &info);
