// GVariant to JavaScript, with the mapping of trees/ostree/types.ts.
#pragma once

#include <napi.h>

#include "support.h"

namespace trees::delta {

Napi::Value variant_value(Napi::Env env, GVariant *value);
// `file`, `dirtree`, `dirmeta` or `commit`.
const char *type_label(OstreeObjectType type);

} // namespace trees::delta
