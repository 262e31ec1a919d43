#pragma once
#include <napi.h>

/// preload: loads a shared library beside what the main thread does.
void register_preload(Napi::Env env, Napi::Object exports);
