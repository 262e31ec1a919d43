#include "js_variant.h"

namespace trees::delta {

namespace {

Napi::Value children(Napi::Env env, GVariant *value) {
  gsize count = g_variant_n_children(value);
  Napi::Array array = Napi::Array::New(env, count);
  for (gsize i = 0; i < count; i++) {
    VariantPtr child(g_variant_get_child_value(value, i));
    array.Set(static_cast<uint32_t>(i), variant_value(env, child.get()));
  }
  return array;
}

// `a{sv}`: a plain object of `{type, value}`; without a prototype, since the keys are not ours.
Napi::Value dictionary(Napi::Env env, GVariant *value) {
  Napi::Object object = env.Global()
                            .Get("Object")
                            .As<Napi::Object>()
                            .Get("create")
                            .As<Napi::Function>()
                            .Call({env.Null()})
                            .As<Napi::Object>();
  GVariantIter iterator;
  g_variant_iter_init(&iterator, value);
  const char *key;
  GVariant *raw;
  while (g_variant_iter_next(&iterator, "{&sv}", &key, &raw)) {
    VariantPtr owned(raw);
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("type", g_variant_get_type_string(raw));
    entry.Set("value", variant_value(env, raw));
    object.Set(key, entry);
  }
  return object;
}

} // namespace

const char *type_label(OstreeObjectType type) {
  switch (type) {
  case OSTREE_OBJECT_TYPE_FILE:
    return "file";
  case OSTREE_OBJECT_TYPE_DIR_TREE:
    return "dirtree";
  case OSTREE_OBJECT_TYPE_DIR_META:
    return "dirmeta";
  default:
    return "commit";
  }
}

Napi::Value variant_value(Napi::Env env, GVariant *value) {
  if (g_variant_is_of_type(value, G_VARIANT_TYPE_VARDICT))
    return dictionary(env, value);
  if (g_variant_is_of_type(value, G_VARIANT_TYPE_BYTESTRING)) {
    gsize size = 0;
    auto *bytes = static_cast<const uint8_t *>(g_variant_get_fixed_array(value, &size, 1));
    return Napi::Buffer<uint8_t>::Copy(env, bytes, size);
  }
  switch (g_variant_classify(value)) {
  case G_VARIANT_CLASS_BOOLEAN:
    return Napi::Boolean::New(env, g_variant_get_boolean(value) != FALSE);
  case G_VARIANT_CLASS_BYTE:
    return Napi::Number::New(env, g_variant_get_byte(value));
  case G_VARIANT_CLASS_INT16:
    return Napi::Number::New(env, g_variant_get_int16(value));
  case G_VARIANT_CLASS_UINT16:
    return Napi::Number::New(env, g_variant_get_uint16(value));
  case G_VARIANT_CLASS_INT32:
    return Napi::Number::New(env, g_variant_get_int32(value));
  case G_VARIANT_CLASS_UINT32:
    return Napi::Number::New(env, g_variant_get_uint32(value));
  case G_VARIANT_CLASS_HANDLE:
    return Napi::Number::New(env, g_variant_get_handle(value));
  case G_VARIANT_CLASS_INT64:
    return Napi::BigInt::New(env, static_cast<int64_t>(g_variant_get_int64(value)));
  case G_VARIANT_CLASS_UINT64:
    return Napi::BigInt::New(env, static_cast<uint64_t>(g_variant_get_uint64(value)));
  case G_VARIANT_CLASS_DOUBLE:
    return Napi::Number::New(env, g_variant_get_double(value));
  case G_VARIANT_CLASS_STRING:
  case G_VARIANT_CLASS_OBJECT_PATH:
  case G_VARIANT_CLASS_SIGNATURE:
    return Napi::String::New(env, g_variant_get_string(value, nullptr));
  case G_VARIANT_CLASS_VARIANT: {
    VariantPtr inner(g_variant_get_variant(value));
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("type", g_variant_get_type_string(inner.get()));
    entry.Set("value", variant_value(env, inner.get()));
    return entry;
  }
  case G_VARIANT_CLASS_MAYBE:
    if (g_variant_n_children(value) == 0)
      return env.Null();
    [[fallthrough]];
  default:
    return children(env, value);
  }
}

} // namespace trees::delta
