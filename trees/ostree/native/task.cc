#include "task.h"

#include "handle.h"

namespace {

struct Cancellation {
  Ref<GCancellable> cancellable{g_cancellable_new()};
};

Napi::Value ToJsError(Napi::Env env, const Environment &environment, const GlibError &error) {
  return environment.ErrorClass().New({Napi::String::New(env, error.Message()),
                                       Napi::String::New(env, error.Domain()),
                                       Napi::Number::New(env, error.Code())});
}

} // namespace

template <> const napi_type_tag HandleTag<Cancellation>::tag = {0x1c0a5f3e9b7d4a21, 0x8f6e2d4c0b1a3957};

Task::Task(Napi::Env env, Ref<GCancellable> cancellable)
    : environment_(Environment::From(env)), deferred_(env), cancellable_(std::move(cancellable)) {
  environment_->Register(cancellable_.get());
}

Task::~Task() {
  environment_->Unregister(cancellable_.get());
}

Napi::Promise Task::Start(Napi::Env env, Napi::Value token, Lane lane, Work work) {
  Ref<GCancellable> cancellable =
      token.IsUndefined() ? Ref<GCancellable>(g_cancellable_new()) : Unwrap<Cancellation>(token)->cancellable;
  auto task = std::make_shared<Task>(env, std::move(cancellable));
  Napi::Promise promise = task->deferred_.Promise();
  Environment &environment = *task->environment_;
  environment.BeginWork();
  auto run = [task, work = std::make_shared<Work>(std::move(work))]() mutable {
    task->Execute(*work);
    // The work's captures may hold JavaScript functions, which only the environment's thread may let go.
    std::shared_ptr<Environment> owner = task->environment_;
    owner->Post([task = std::move(task), work = std::move(work)](Napi::Env inner) { task->Settle(inner); });
  };
  if (lane == Lane::kPool)
    environment.RunInPool(std::move(run));
  else
    environment.RunAlone(std::move(run));
  return promise;
}

void Task::Execute(const Work &work) {
  try {
    CheckCancelled();
    result_ = work(*this);
  } catch (const GlibError &error) {
    error_ = std::make_unique<GlibError>(error);
  } catch (const std::exception &error) {
    error_ = std::make_unique<GlibError>(error.what(), G_IO_ERROR_FAILED);
  }
}

void Task::Settle(Napi::Env env) {
  environment_->EndWork();
  if (thrown_) {
    deferred_.Reject(thrown_->Value());
    thrown_.reset();
    return;
  }
  if (error_) {
    deferred_.Reject(ToJsError(env, *environment_, *error_));
    return;
  }
  try {
    deferred_.Resolve(result_ ? result_(env) : env.Undefined());
  } catch (const Napi::Error &error) {
    deferred_.Reject(error.Value());
  } catch (const GlibError &error) {
    deferred_.Reject(ToJsError(env, *environment_, error));
  }
  result_ = nullptr;
}

void Task::CheckCancelled() const {
  ErrorSlot error;
  error.Check(g_cancellable_set_error_if_cancelled(cancellable_.get(), error) == FALSE);
}

void Task::Guarded(Napi::Env env, const std::function<void(Napi::Env)> &call) {
  if (thrown_)
    return;
  try {
    call(env);
  } catch (const Napi::Error &error) {
    thrown_ = std::make_unique<Napi::Error>(error);
    g_cancellable_cancel(cancellable_.get());
  }
}

bool Task::Call(const std::function<void(Napi::Env)> &call) {
  auto self = shared_from_this();
  // By reference: the environment's thread is done with it before PostAndWait returns.
  bool ran = environment_->PostAndWait([self, &call](Napi::Env env) { self->Guarded(env, call); });
  return ran && g_cancellable_is_cancelled(cancellable_.get()) == FALSE;
}

void Task::Notify(std::function<void(Napi::Env)> call) {
  environment_->Post(
      [self = shared_from_this(), call = std::move(call)](Napi::Env env) { self->Guarded(env, call); });
}

FunctionHolder HoldFunction(Napi::Value value) {
  if (!value.IsFunction())
    return nullptr;
  return std::make_shared<Napi::FunctionReference>(Napi::Persistent(value.As<Napi::Function>()));
}

Napi::Value CreateCancellable(const Napi::CallbackInfo &info) {
  return Wrap(info.Env(), std::make_shared<Cancellation>());
}

Napi::Value CancelCancellable(const Napi::CallbackInfo &info) {
  g_cancellable_cancel(Unwrap<Cancellation>(info[0])->cancellable.get());
  return info.Env().Undefined();
}
