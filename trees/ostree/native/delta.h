// Static deltas in libostree's formats.
#pragma once

#include <napi.h>

Napi::Value ListDeltas(const Napi::CallbackInfo &info);
Napi::Value GenerateDelta(const Napi::CallbackInfo &info);
Napi::Value ApplyDelta(const Napi::CallbackInfo &info);
Napi::Value DeltaInfo(const Napi::CallbackInfo &info);
