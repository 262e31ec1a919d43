// Trees out of the repository.
#pragma once

#include <napi.h>

Napi::Value Checkout(const Napi::CallbackInfo &info);
Napi::Value Diff(const Napi::CallbackInfo &info);
