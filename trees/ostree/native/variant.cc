#include "variant.h"

#include <string>

#include "values.h"

namespace {

// The functions below return floating references, which GVariant's builders take over.
class FromJs {
public:
  static GVariant *Typed(const Napi::Value &value) {
    auto object = value.As<Napi::Object>();
    std::string type = ToString(object.Get("type"));
    return Value(reinterpret_cast<const GVariantType *>(type.c_str()), object.Get("value"));
  }

  static GVariant *Pairs(const Napi::Value &value) {
    auto pairs = value.As<Napi::Array>();
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    for (uint32_t index = 0; index < pairs.Length(); ++index) {
      auto pair = pairs.Get(index).As<Napi::Array>();
      std::string key = ToString(pair.Get(0U));
      g_variant_builder_add(&builder, "{sv}", key.c_str(), Typed(pair.Get(1U)));
    }
    return g_variant_builder_end(&builder);
  }

private:
  static GVariant *Value(const GVariantType *type, const Napi::Value &value) {
    switch (*g_variant_type_peek_string(type)) {
    case 's':
      return g_variant_new_string(ToString(value).c_str());
    case 'o':
      return g_variant_new_object_path(ToString(value).c_str());
    case 'g':
      return g_variant_new_signature(ToString(value).c_str());
    case 'b':
      return g_variant_new_boolean(ToBool(value) ? TRUE : FALSE);
    case 'y':
      return g_variant_new_byte(static_cast<guint8>(ToInt(value)));
    case 'n':
      return g_variant_new_int16(static_cast<gint16>(ToInt(value)));
    case 'q':
      return g_variant_new_uint16(static_cast<guint16>(ToInt(value)));
    case 'i':
      return g_variant_new_int32(ToInt(value));
    case 'h':
      return g_variant_new_handle(ToInt(value));
    case 'u':
      return g_variant_new_uint32(value.As<Napi::Number>().Uint32Value());
    case 'd':
      return g_variant_new_double(ToDouble(value));
    case 'x': {
      bool lossless = true;
      return g_variant_new_int64(value.As<Napi::BigInt>().Int64Value(&lossless));
    }
    case 't': {
      bool lossless = true;
      return g_variant_new_uint64(value.As<Napi::BigInt>().Uint64Value(&lossless));
    }
    case 'v':
      return g_variant_new_variant(Typed(value));
    case 'm':
      return value.IsUndefined() ? g_variant_new_maybe(g_variant_type_element(type), nullptr)
                                 : g_variant_new_maybe(nullptr, Value(g_variant_type_element(type), value));
    case 'a':
      return Array(type, value);
    default:
      return Tuple(type, value.As<Napi::Array>());
    }
  }

  static GVariant *Array(const GVariantType *type, const Napi::Value &value) {
    if (g_variant_type_equal(type, G_VARIANT_TYPE_BYTESTRING) != FALSE) {
      auto bytes = value.As<Napi::Uint8Array>();
      return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes.Data(), bytes.ByteLength(), 1);
    }
    if (g_variant_type_equal(type, G_VARIANT_TYPE_VARDICT) != FALSE)
      return Pairs(value);
    auto items = value.As<Napi::Array>();
    GVariantBuilder builder;
    g_variant_builder_init(&builder, type);
    for (uint32_t index = 0; index < items.Length(); ++index)
      g_variant_builder_add_value(&builder, Value(g_variant_type_element(type), items.Get(index)));
    return g_variant_builder_end(&builder);
  }

  // Tuples and dictionary entries.
  static GVariant *Tuple(const GVariantType *type, const Napi::Array &items) {
    GVariantBuilder builder;
    g_variant_builder_init(&builder, type);
    const GVariantType *item_type =
        g_variant_type_is_dict_entry(type) != FALSE ? g_variant_type_key(type) : g_variant_type_first(type);
    for (uint32_t index = 0; index < items.Length() && item_type != nullptr; ++index) {
      g_variant_builder_add_value(&builder, Value(item_type, items.Get(index)));
      item_type = g_variant_type_next(item_type);
    }
    return g_variant_builder_end(&builder);
  }
};

} // namespace

Ref<GVariant> ToMetadata(const Napi::Value &pairs) {
  return SinkVariant(FromJs::Pairs(pairs));
}
