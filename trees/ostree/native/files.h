// Reading file objects: what they are, whole, and in chunks.
#pragma once

#include <napi.h>

Napi::Value ReadFileInfo(const Napi::CallbackInfo &info);
Napi::Value ReadFile(const Napi::CallbackInfo &info);
Napi::Value OpenFile(const Napi::CallbackInfo &info);
Napi::Value ReadStream(const Napi::CallbackInfo &info);
Napi::Value CloseStream(const Napi::CallbackInfo &info);
