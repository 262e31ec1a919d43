#pragma once

#include <napi.h>

Napi::Value CheckRef(const Napi::CallbackInfo &info);
Napi::Value ListRefs(const Napi::CallbackInfo &info);
Napi::Value ResolveRev(const Napi::CallbackInfo &info);
Napi::Value SetRef(const Napi::CallbackInfo &info);
