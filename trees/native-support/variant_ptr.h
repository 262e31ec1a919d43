// An owning pointer to a GVariant.
#pragma once

#include <glib.h>

#include <memory>

namespace trees {

struct VariantUnref {
  void operator()(GVariant *value) const { g_variant_unref(value); }
};
using VariantPtr = std::unique_ptr<GVariant, VariantUnref>;

} // namespace trees
