#include "values.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "gerror.h"

std::string ToString(const Napi::Value &value) {
  return value.As<Napi::String>().Utf8Value();
}

std::optional<std::string> ToOptionalString(const Napi::Value &value) {
  if (value.IsUndefined())
    return std::nullopt;
  return ToString(value);
}

std::vector<std::string> ToStrings(const Napi::Value &value) {
  auto array = value.As<Napi::Array>();
  std::vector<std::string> strings;
  strings.reserve(array.Length());
  for (uint32_t index = 0; index < array.Length(); ++index)
    strings.push_back(ToString(array.Get(index)));
  return strings;
}

int ToInt(const Napi::Value &value) {
  return value.As<Napi::Number>().Int32Value();
}

double ToDouble(const Napi::Value &value) {
  return value.As<Napi::Number>().DoubleValue();
}

bool ToBool(const Napi::Value &value) {
  return value.As<Napi::Boolean>().Value();
}

namespace {

GVariant *ToByteString(const Napi::Value &value) {
  auto bytes = value.As<Napi::Uint8Array>();
  return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes.Data(), bytes.ByteLength(), 1);
}

Napi::Uint8Array ByteVariantToJs(Napi::Env env, GVariant *bytes, bool strip_nul) {
  gsize size = 0;
  const auto *data = static_cast<const guint8 *>(g_variant_get_fixed_array(bytes, &size, 1));
  if (strip_nul && size > 0 && data[size - 1] == 0)
    size -= 1;
  return BytesToJs(env, data, size);
}

} // namespace

Ref<GVariant> ToXattrs(const Napi::Value &value) {
  auto array = value.As<Napi::Array>();
  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ayay)"));
  for (uint32_t index = 0; index + 1 < array.Length(); index += 2)
    g_variant_builder_add(&builder, "(@ay@ay)", ToByteString(array.Get(index)),
                          ToByteString(array.Get(index + 1)));
  return SinkVariant(g_variant_builder_end(&builder));
}

Napi::Uint8Array BytesToJs(Napi::Env env, const void *data, size_t size) {
  auto bytes = Napi::Uint8Array::New(env, size);
  if (size > 0)
    std::memcpy(bytes.Data(), data, size);
  return bytes;
}

Napi::Array XattrsToJs(Napi::Env env, GVariant *xattrs) {
  size_t count = xattrs == nullptr ? 0 : g_variant_n_children(xattrs);
  auto array = Napi::Array::New(env, count);
  for (size_t index = 0; index < count; ++index) {
    Ref<GVariant> entry(g_variant_get_child_value(xattrs, index));
    Ref<GVariant> name(g_variant_get_child_value(entry.get(), 0));
    Ref<GVariant> value(g_variant_get_child_value(entry.get(), 1));
    auto object = Napi::Object::New(env);
    object.Set("name", ByteVariantToJs(env, name.get(), true));
    object.Set("value", ByteVariantToJs(env, value.get(), false));
    array.Set(static_cast<uint32_t>(index), object);
  }
  return array;
}

Napi::Array StringsToJs(Napi::Env env, const std::vector<std::string> &strings) {
  auto array = Napi::Array::New(env, strings.size());
  for (size_t index = 0; index < strings.size(); ++index)
    array.Set(static_cast<uint32_t>(index), strings[index]);
  return array;
}

Napi::Value OptionalToJs(Napi::Env env, const std::optional<std::string> &text) {
  return text ? Napi::String::New(env, *text) : env.Undefined();
}

OstreeObjectType ToObjectType(const Napi::Value &value) {
  std::string name = ToString(value);
  if (name == "file")
    return OSTREE_OBJECT_TYPE_FILE;
  if (name == "dirtree")
    return OSTREE_OBJECT_TYPE_DIR_TREE;
  if (name == "dirmeta")
    return OSTREE_OBJECT_TYPE_DIR_META;
  return OSTREE_OBJECT_TYPE_COMMIT;
}

const char *ObjectTypeName(OstreeObjectType type) {
  switch (type) {
  case OSTREE_OBJECT_TYPE_FILE:
    return "file";
  case OSTREE_OBJECT_TYPE_DIR_TREE:
    return "dirtree";
  case OSTREE_OBJECT_TYPE_DIR_META:
    return "dirmeta";
  case OSTREE_OBJECT_TYPE_COMMIT:
    return "commit";
  default:
    return "";
  }
}

Napi::Array ObjectNamesToJs(Napi::Env env, const std::vector<ObjectName> &names) {
  auto array = Napi::Array::New(env, names.size());
  for (size_t index = 0; index < names.size(); ++index) {
    auto object = Napi::Object::New(env);
    object.Set("type", ObjectTypeName(names[index].type));
    object.Set("checksum", names[index].checksum);
    array.Set(static_cast<uint32_t>(index), object);
  }
  return array;
}

std::vector<ObjectName> ToObjectNames(GHashTable *set) {
  std::vector<ObjectName> names;
  names.reserve(g_hash_table_size(set));
  GHashTableIter iterator;
  gpointer key = nullptr;
  g_hash_table_iter_init(&iterator, set);
  while (g_hash_table_iter_next(&iterator, &key, nullptr)) {
    const char *checksum = nullptr;
    OstreeObjectType type = OSTREE_OBJECT_TYPE_FILE;
    ostree_object_name_deserialize(static_cast<GVariant *>(key), &checksum, &type);
    if (*ObjectTypeName(type) != '\0')
      names.push_back({type, checksum});
  }
  std::sort(names.begin(), names.end(), [](const ObjectName &a, const ObjectName &b) {
    return std::tie(a.checksum, a.type) < std::tie(b.checksum, b.type);
  });
  return names;
}

std::string ToChecksum(const guchar *bytes) {
  char text[OSTREE_SHA256_STRING_LEN + 1];
  ostree_checksum_inplace_from_bytes(bytes, text);
  return text;
}

std::string ToChecksum(GVariant *bytes, const char *what) {
  std::optional<std::string> checksum = ToOptionalChecksum(bytes, what);
  if (!checksum)
    throw GlibError(std::string("invalid ") + what + ": it is empty", G_IO_ERROR_INVALID_DATA);
  return *checksum;
}

std::optional<std::string> ToOptionalChecksum(GVariant *bytes, const char *what) {
  gsize size = 0;
  const auto *data = static_cast<const guchar *>(g_variant_get_fixed_array(bytes, &size, 1));
  if (size == 0)
    return std::nullopt;
  if (size != OSTREE_SHA256_DIGEST_LEN)
    throw GlibError(std::string("invalid ") + what + ": " + std::to_string(size) + " bytes long, expected 32",
                    G_IO_ERROR_INVALID_DATA);
  return ToChecksum(data);
}
