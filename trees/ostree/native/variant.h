// JavaScript values to GVariants; the mapping is that of `Variant` in types.ts. The other way is
// `native-support/variant.h`.
#pragma once

#include <napi.h>

#include "glib-ptr.h"

// Pairs of key and {type, value}, as variant.ts makes them, to `a{sv}`.
Ref<GVariant> ToMetadata(const Napi::Value &pairs);
