// Directories into the repository.
#pragma once

#include <napi.h>

Napi::Value CommitDirectory(const Napi::CallbackInfo &info);
Napi::Value WriteDirectory(const Napi::CallbackInfo &info);
