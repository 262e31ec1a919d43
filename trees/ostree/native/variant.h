// GVariants to JavaScript and back; the mapping is that of `Variant` in types.ts.
#pragma once

#include <napi.h>

#include "glib-ptr.h"

Napi::Value VariantToJs(Napi::Env env, GVariant *variant);
// `a{sv}` to an object of {type, value}.
Napi::Object MetadataToJs(Napi::Env env, GVariant *metadata);
// Pairs of key and {type, value}, as variant.ts makes them, to `a{sv}`.
Ref<GVariant> ToMetadata(const Napi::Value &pairs);
