#pragma once
#include <napi.h>

/// flock, syncfs, renameat2, memfd and extended attributes. Arguments were checked in TypeScript.
void register_files(Napi::Env env, Napi::Object exports);
