// Small conversions between JavaScript values and what libostree takes. Arguments were checked in TypeScript.
#pragma once

#include <napi.h>

#include <optional>
#include <string>
#include <vector>

#include "glib-ptr.h"

std::string ToString(const Napi::Value &value);
// Undefined gives nothing.
std::optional<std::string> ToOptionalString(const Napi::Value &value);
std::vector<std::string> ToStrings(const Napi::Value &value);
int ToInt(const Napi::Value &value);
double ToDouble(const Napi::Value &value);
bool ToBool(const Napi::Value &value);
// Names and values in turn, to `a(ayay)`.
Ref<GVariant> ToXattrs(const Napi::Value &value);

inline const char *OrNull(const std::optional<std::string> &text) {
  return text ? text->c_str() : nullptr;
}

Napi::Uint8Array BytesToJs(Napi::Env env, const void *data, size_t size);
// `a(ayay)` to an array of {name, value}; null gives an empty one.
Napi::Array XattrsToJs(Napi::Env env, GVariant *xattrs);
Napi::Array StringsToJs(Napi::Env env, const std::vector<std::string> &strings);
Napi::Value OptionalToJs(Napi::Env env, const std::optional<std::string> &text);

OstreeObjectType ToObjectType(const Napi::Value &value);
// Empty for the kinds of objects that the binding does not name.
const char *ObjectTypeName(OstreeObjectType type);

struct ObjectName {
  OstreeObjectType type;
  std::string checksum;
};
Napi::Array ObjectNamesToJs(Napi::Env env, const std::vector<ObjectName> &names);
// The keys of a set of serialized object names, those of known kinds, sorted.
std::vector<ObjectName> ToObjectNames(GHashTable *set);

// Hexadecimal form of an `ay`. Throws GlibError when it is not 32 bytes long.
std::string ToChecksum(GVariant *bytes, const char *what);
// As ToChecksum, with nothing for an empty one.
std::optional<std::string> ToOptionalChecksum(GVariant *bytes, const char *what);
std::string ToChecksum(const guchar *bytes);
