// Mutable trees. One operation at a time on each: the TypeScript side sees to it.
#pragma once

#include <napi.h>

#include "glib-ptr.h"

// The tree behind a handle. Throws a TypeError when it was closed.
Ref<OstreeMutableTree> UnwrapTree(const Napi::Value &value);

Napi::Value CreateTree(const Napi::CallbackInfo &info);
Napi::Value CloseTree(const Napi::CallbackInfo &info);
Napi::Value TreeFromChecksums(const Napi::CallbackInfo &info);
Napi::Value TreeFromCommit(const Napi::CallbackInfo &info);
Napi::Value TreeEnsureDirectory(const Napi::CallbackInfo &info);
Napi::Value TreeSetFile(const Napi::CallbackInfo &info);
Napi::Value TreeRemove(const Napi::CallbackInfo &info);
Napi::Value TreeLookup(const Napi::CallbackInfo &info);
Napi::Value TreeList(const Napi::CallbackInfo &info);
Napi::Value WriteTree(const Napi::CallbackInfo &info);
