// An open repository, shared by its JavaScript handle and the work under way.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "environment.h"
#include "glib-ptr.h"
#include "handle.h"

class OpenRepo {
public:
  OpenRepo(std::shared_ptr<Environment> environment, Ref<OstreeRepo> repo);
  ~OpenRepo();
  OpenRepo(const OpenRepo &) = delete;
  OpenRepo &operator=(const OpenRepo &) = delete;

  OstreeRepo *get() const { return repo_.get(); }
  // Aborts an open transaction and lets go of the repository. For the last owner.
  void Close();

  // Whether libostree has a transaction open; writers of this are alone by the caller's doing.
  std::atomic<bool> in_transaction{false};
  // `core.locking`, as of the last time the configuration was read.
  std::atomic<bool> locking{true};
  void ReadSettings();

  // Locks that libostree holds on our behalf. Popping one that it does not have aborts the process.
  struct Held {
    unsigned shared = 0;
    unsigned exclusive = 0;
  };
  Held GetHeld() const;
  void CountLock(bool exclusive, int change);

private:
  std::shared_ptr<Environment> environment_;
  Ref<OstreeRepo> repo_;
  mutable std::mutex mutex_;
  Held held_;
};

// What JavaScript holds; `open` is empty after closing.
struct RepoHandle {
  std::shared_ptr<OpenRepo> open;
};
template <> const napi_type_tag HandleTag<RepoHandle>::tag;

// The repository behind a handle. Throws a TypeError when it was closed.
std::shared_ptr<OpenRepo> UnwrapRepo(const Napi::Value &value);

Napi::Value CreateRepo(const Napi::CallbackInfo &info);
Napi::Value OpenRepoAt(const Napi::CallbackInfo &info);
Napi::Value CloseRepo(const Napi::CallbackInfo &info);
Napi::Value IsWritable(const Napi::CallbackInfo &info);
Napi::Value SetDisableFsync(const Napi::CallbackInfo &info);
Napi::Value GetConfig(const Napi::CallbackInfo &info);
Napi::Value SetConfig(const Napi::CallbackInfo &info);
Napi::Value ReloadConfig(const Napi::CallbackInfo &info);
Napi::Value MinFreeSpaceBytes(const Napi::CallbackInfo &info);
