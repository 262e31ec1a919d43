// Reading objects.
#pragma once

#include <napi.h>

#include "glib-ptr.h"

// A commit object as JavaScript's Commit. Throws GlibError when its checksums are malformed.
Napi::Object CommitToJs(Napi::Env env, const std::string &checksum, GVariant *commit);

Napi::Value HasObject(const Napi::CallbackInfo &info);
Napi::Value ObjectSize(const Napi::CallbackInfo &info);
Napi::Value DeleteObject(const Napi::CallbackInfo &info);
Napi::Value ListObjects(const Napi::CallbackInfo &info);
Napi::Value ReadCommit(const Napi::CallbackInfo &info);
Napi::Value ReadCommitBytes(const Napi::CallbackInfo &info);
Napi::Value ReadDirTree(const Napi::CallbackInfo &info);
Napi::Value ReadDirMeta(const Napi::CallbackInfo &info);
Napi::Value ReadDetachedMetadata(const Napi::CallbackInfo &info);
