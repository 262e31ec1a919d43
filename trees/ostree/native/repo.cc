#include "repo.h"

#include <fcntl.h>

#include <optional>
#include <string>

#include "task.h"
#include "values.h"

template <> const napi_type_tag HandleTag<RepoHandle>::tag = {0x5b3c9a7e21f04d68, 0x9e1d7c3a5f8b2046};

OpenRepo::OpenRepo(std::shared_ptr<Environment> environment, Ref<OstreeRepo> repo)
    : environment_(std::move(environment)), repo_(std::move(repo)) {
  environment_->Register(this);
  ReadSettings();
}

void OpenRepo::ReadSettings() {
  ErrorSlot error;
  gboolean enabled = g_key_file_get_boolean(ostree_repo_get_config(repo_.get()), "core", "locking", error);
  locking = error.get() != nullptr || enabled != FALSE;
}

OpenRepo::~OpenRepo() {
  environment_->Unregister(this);
  Close();
}

void OpenRepo::Close() {
  if (!repo_)
    return;
  if (in_transaction.exchange(false))
    ostree_repo_abort_transaction(repo_.get(), nullptr, nullptr);
  repo_.Reset();
}

OpenRepo::Held OpenRepo::GetHeld() const {
  std::lock_guard<std::mutex> guard(mutex_);
  return held_;
}

void OpenRepo::CountLock(bool exclusive, int change) {
  std::lock_guard<std::mutex> guard(mutex_);
  unsigned &count = exclusive ? held_.exclusive : held_.shared;
  count = static_cast<unsigned>(static_cast<int>(count) + change);
}

std::shared_ptr<OpenRepo> UnwrapRepo(const Napi::Value &value) {
  std::shared_ptr<OpenRepo> open = Unwrap<RepoHandle>(value)->open;
  if (!open)
    throw Napi::TypeError::New(value.Env(), "Expected repo to be open, got one that was closed");
  return open;
}

namespace {

const char *ModeName(OstreeRepoMode mode) {
  switch (mode) {
  case OSTREE_REPO_MODE_BARE:
    return "bare";
  case OSTREE_REPO_MODE_ARCHIVE:
    return "archive";
  case OSTREE_REPO_MODE_BARE_USER:
    return "bare-user";
  case OSTREE_REPO_MODE_BARE_USER_ONLY:
    return "bare-user-only";
  default:
    return "bare-split-xattrs";
  }
}

Result Opened(const std::shared_ptr<Environment> &environment, Ref<OstreeRepo> repo,
              const std::string &path) {
  const char *mode = ModeName(ostree_repo_get_mode(repo.get()));
  auto handle = std::make_shared<RepoHandle>();
  handle->open = std::make_shared<OpenRepo>(environment, std::move(repo));
  return [handle, path, mode](Napi::Env env) -> Napi::Value {
    auto object = Napi::Object::New(env);
    object.Set("handle", Wrap(env, handle));
    object.Set("path", path);
    object.Set("mode", mode);
    return object;
  };
}

Ref<OstreeRepo> NewRepo(const std::string &path) {
  Ref<GFile> file(g_file_new_for_path(path.c_str()));
  return Ref<OstreeRepo>(ostree_repo_new(file.get()));
}

} // namespace

Napi::Value CreateRepo(const Napi::CallbackInfo &info) {
  std::string mode_name = ToString(info[1]);
  return Task::Start(
      info.Env(), info[2], Lane::kPool,
      [environment = Environment::From(info.Env()), path = ToString(info[0]), mode_name](Task &task) {
        ErrorSlot error;
        OstreeRepoMode mode = OSTREE_REPO_MODE_BARE;
        error.Check(ostree_repo_mode_from_string(mode_name.c_str(), &mode, error));
        Ref<OstreeRepo> repo = NewRepo(path);
        error.Check(ostree_repo_create(repo.get(), mode, task.Cancel(), error));
        OstreeRepoMode actual = ostree_repo_get_mode(repo.get());
        if (actual != mode)
          throw GlibError("cannot create " + path + " as " + mode_name + ": a repository of mode " +
                              ModeName(actual) + " is there",
                          G_IO_ERROR_EXISTS);
        return Opened(environment, std::move(repo), path);
      });
}

Napi::Value OpenRepoAt(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[1], Lane::kPool,
                     [environment = Environment::From(info.Env()), path = ToString(info[0])](Task &task) {
                       ErrorSlot error;
                       Ref<OstreeRepo> repo = NewRepo(path);
                       error.Check(ostree_repo_open(repo.get(), task.Cancel(), error));
                       return Opened(environment, std::move(repo), path);
                     });
}

Napi::Value CloseRepo(const Napi::CallbackInfo &info) {
  Unwrap<RepoHandle>(info[0])->open.reset();
  return info.Env().Undefined();
}

Napi::Value IsWritable(const Napi::CallbackInfo &info) {
  return Napi::Boolean::New(info.Env(),
                            ostree_repo_is_writable(UnwrapRepo(info[0])->get(), nullptr) != FALSE);
}

Napi::Value SetDisableFsync(const Napi::CallbackInfo &info) {
  ostree_repo_set_disable_fsync(UnwrapRepo(info[0])->get(), ToBool(info[1]) ? TRUE : FALSE);
  return info.Env().Undefined();
}

Napi::Value GetConfig(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), section = ToString(info[1]), key = ToString(info[2])](Task &) -> Result {
        ErrorSlot error;
        Ref<GKeyFile> config(ostree_repo_copy_config(repo->get()));
        GString8 value(g_key_file_get_string(config.get(), section.c_str(), key.c_str(), error));
        if (!value && !g_error_matches(error.get(), G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND) &&
            !g_error_matches(error.get(), G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_GROUP_NOT_FOUND))
          error.Throw();
        std::optional<std::string> text;
        if (value)
          text = value.get();
        return [text](Napi::Env env) { return OptionalToJs(env, text); };
      });
}

Napi::Value SetConfig(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), section = ToString(info[1]), key = ToString(info[2]),
                      value = ToOptionalString(info[3])](Task &task) -> Result {
                       ErrorSlot error;
                       // What others wrote since the repository was opened must not be undone.
                       error.Check(ostree_repo_reload_config(repo->get(), task.Cancel(), error));
                       Ref<GKeyFile> before(ostree_repo_copy_config(repo->get()));
                       Ref<GKeyFile> config(ostree_repo_copy_config(repo->get()));
                       if (value)
                         g_key_file_set_string(config.get(), section.c_str(), key.c_str(), value->c_str());
                       else
                         g_key_file_remove_key(config.get(), section.c_str(), key.c_str(), nullptr);
                       error.Check(ostree_repo_write_config(repo->get(), config.get(), error));
                       if (!ostree_repo_reload_config(repo->get(), nullptr, error)) {
                         // Nobody could open the repository any more.
                         ostree_repo_write_config(repo->get(), before.get(), nullptr);
                         ostree_repo_reload_config(repo->get(), nullptr, nullptr);
                         error.Throw();
                       }
                       repo->ReadSettings();
                       return nullptr;
                     });
}

Napi::Value ReloadConfig(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0])](Task &task) -> Result {
                       ErrorSlot error;
                       error.Check(ostree_repo_reload_config(repo->get(), task.Cancel(), error));
                       repo->ReadSettings();
                       return nullptr;
                     });
}

Napi::Value MinFreeSpaceBytes(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0])](Task &) -> Result {
                       ErrorSlot error;
                       guint64 bytes = 0;
                       error.Check(ostree_repo_get_min_free_space_bytes(repo->get(), &bytes, error));
                       return [bytes](Napi::Env env) -> Napi::Value {
                         return Napi::Number::New(env, static_cast<double>(bytes));
                       };
                     });
}
