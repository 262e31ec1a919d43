// Pruning and checking.
#pragma once

#include <napi.h>

Napi::Value Prune(const Napi::CallbackInfo &info);
Napi::Value FsckObject(const Napi::CallbackInfo &info);
Napi::Value Fsck(const Napi::CallbackInfo &info);
Napi::Value SetCommitPartial(const Napi::CallbackInfo &info);
Napi::Value IsCommitPartial(const Napi::CallbackInfo &info);
