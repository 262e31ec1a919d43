// GVariant to JavaScript; the mapping is that of `Variant` in trees/ostree/types.ts.
#pragma once

#include <napi.h>

#include <cstring>

#include "variant_ptr.h"

namespace trees {

inline Napi::Value variant_to_js(Napi::Env env, GVariant *variant);

// {type, value}
inline Napi::Object typed_variant_to_js(Napi::Env env, GVariant *variant) {
  auto object = Napi::Object::New(env);
  object.Set("type", g_variant_get_type_string(variant));
  object.Set("value", variant_to_js(env, variant));
  return object;
}

// `a{sv}` to an object of {type, value}.
inline Napi::Object metadata_to_js(Napi::Env env, GVariant *metadata) {
  auto object = Napi::Object::New(env);
  const gsize count = g_variant_n_children(metadata);
  for (gsize i = 0; i < count; i++) {
    const VariantPtr entry(g_variant_get_child_value(metadata, i));
    const VariantPtr key(g_variant_get_child_value(entry.get(), 0));
    const VariantPtr boxed(g_variant_get_child_value(entry.get(), 1));
    const VariantPtr value(g_variant_get_variant(boxed.get()));
    // Defined, not assigned: a key such as `__proto__` is only a key.
    object.DefineProperty(
        Napi::PropertyDescriptor::Value(Napi::String::New(env, g_variant_get_string(key.get(), nullptr)),
                                        typed_variant_to_js(env, value.get()), napi_default_jsproperty));
  }
  return object;
}

inline Napi::Uint8Array bytes_to_js(Napi::Env env, const void *data, size_t size) {
  auto bytes = Napi::Uint8Array::New(env, size);
  if (size > 0)
    std::memcpy(bytes.Data(), data, size);
  return bytes;
}

inline Napi::Value children_to_js(Napi::Env env, GVariant *variant) {
  const gsize count = g_variant_n_children(variant);
  auto array = Napi::Array::New(env, count);
  for (gsize i = 0; i < count; i++) {
    const VariantPtr child(g_variant_get_child_value(variant, i));
    array.Set(static_cast<uint32_t>(i), variant_to_js(env, child.get()));
  }
  return array;
}

inline Napi::Value variant_to_js(Napi::Env env, GVariant *variant) {
  switch (g_variant_classify(variant)) {
  case G_VARIANT_CLASS_BOOLEAN:
    return Napi::Boolean::New(env, g_variant_get_boolean(variant) != FALSE);
  case G_VARIANT_CLASS_BYTE:
    return Napi::Number::New(env, g_variant_get_byte(variant));
  case G_VARIANT_CLASS_INT16:
    return Napi::Number::New(env, g_variant_get_int16(variant));
  case G_VARIANT_CLASS_UINT16:
    return Napi::Number::New(env, g_variant_get_uint16(variant));
  case G_VARIANT_CLASS_INT32:
    return Napi::Number::New(env, g_variant_get_int32(variant));
  case G_VARIANT_CLASS_HANDLE:
    return Napi::Number::New(env, g_variant_get_handle(variant));
  case G_VARIANT_CLASS_UINT32:
    return Napi::Number::New(env, g_variant_get_uint32(variant));
  case G_VARIANT_CLASS_INT64:
    return Napi::BigInt::New(env, static_cast<int64_t>(g_variant_get_int64(variant)));
  case G_VARIANT_CLASS_UINT64:
    return Napi::BigInt::New(env, static_cast<uint64_t>(g_variant_get_uint64(variant)));
  case G_VARIANT_CLASS_DOUBLE:
    return Napi::Number::New(env, g_variant_get_double(variant));
  case G_VARIANT_CLASS_STRING:
  case G_VARIANT_CLASS_OBJECT_PATH:
  case G_VARIANT_CLASS_SIGNATURE:
    return Napi::String::New(env, g_variant_get_string(variant, nullptr));
  case G_VARIANT_CLASS_VARIANT: {
    const VariantPtr inner(g_variant_get_variant(variant));
    return typed_variant_to_js(env, inner.get());
  }
  case G_VARIANT_CLASS_MAYBE: {
    const VariantPtr inner(g_variant_get_maybe(variant));
    return inner ? variant_to_js(env, inner.get()) : env.Undefined();
  }
  case G_VARIANT_CLASS_ARRAY:
    if (g_variant_is_of_type(variant, G_VARIANT_TYPE_BYTESTRING) != FALSE) {
      gsize size = 0;
      const void *data = g_variant_get_fixed_array(variant, &size, 1);
      return bytes_to_js(env, data, size);
    }
    if (g_variant_is_of_type(variant, G_VARIANT_TYPE_VARDICT) != FALSE)
      return metadata_to_js(env, variant);
    return children_to_js(env, variant);
  case G_VARIANT_CLASS_TUPLE:
  case G_VARIANT_CLASS_DICT_ENTRY:
    return children_to_js(env, variant);
  }
  return env.Undefined();
}

} // namespace trees
