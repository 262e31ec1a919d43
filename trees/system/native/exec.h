#pragma once
#include <napi.h>

/// execve: replaces this Node process.
void register_exec(Napi::Env env, Napi::Object exports);
