// The repository's lock, with waiting that can be cancelled and bounded at will.
#pragma once

#include <napi.h>

#include "repo.h"

// Holds the lock while it lives.
class LockGuard {
public:
  // Waits up to `timeout` seconds (0: tries once; negative: for ever). Throws GlibError (would-block) when
  // that is over.
  LockGuard(OpenRepo &repo, bool exclusive, double timeout, GCancellable *cancellable);
  ~LockGuard();
  LockGuard(const LockGuard &) = delete;
  LockGuard &operator=(const LockGuard &) = delete;
  // Leaves the lock held.
  void Keep() { keep_ = true; }

private:
  OpenRepo &repo_;
  bool exclusive_;
  bool keep_ = false;
};

Napi::Value Lock(const Napi::CallbackInfo &info);
Napi::Value Unlock(const Napi::CallbackInfo &info);
