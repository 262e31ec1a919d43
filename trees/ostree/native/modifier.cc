#include "modifier.h"

#include <sys/stat.h>

#include <cstring>

#include "handle.h"
#include "values.h"

template <> const napi_type_tag HandleTag<DevInoCacheHandle>::tag = {0x2f4b6d8a0c1e3759, 0xa1c3e5f708294b6d};

namespace {

constexpr guint32 kPermissions = 07777;

Ref<GRegex> CompilePattern(const std::string &pattern, const std::string &flags, GError **error) {
  // JavaScript's `$` does not match before a final newline.
  int options = G_REGEX_OPTIMIZE | G_REGEX_DOLLAR_ENDONLY;
  if (flags.find('i') != std::string::npos)
    options |= G_REGEX_CASELESS;
  if (flags.find('m') != std::string::npos)
    options |= G_REGEX_MULTILINE;
  if (flags.find('s') != std::string::npos)
    options |= G_REGEX_DOTALL;
  return Ref<GRegex>(g_regex_new(pattern.c_str(), static_cast<GRegexCompileFlags>(options),
                                 static_cast<GRegexMatchFlags>(0), error));
}

int64_t ToChange(const Napi::Value &value) {
  return value.As<Napi::Number>().Int64Value();
}

guint32 ModeOf(GFileInfo *info) {
  return g_file_info_get_attribute_uint32(info, "unix::mode");
}

// Symbolic links have no permissions of their own.
void SetMode(GFileInfo *info, guint32 permissions) {
  if (g_file_info_get_file_type(info) == G_FILE_TYPE_SYMBOLIC_LINK)
    return;
  g_file_info_set_attribute_uint32(info, "unix::mode",
                                   (ModeOf(info) & ~kPermissions) | (permissions & kPermissions));
}

void Apply(GFileInfo *info, const EntryChange &change) {
  if (change.mode >= 0)
    SetMode(info, static_cast<guint32>(change.mode));
  if (change.uid >= 0)
    g_file_info_set_attribute_uint32(info, "unix::uid", static_cast<guint32>(change.uid));
  if (change.gid >= 0)
    g_file_info_set_attribute_uint32(info, "unix::gid", static_cast<guint32>(change.gid));
}

Napi::Object EntryToJs(Napi::Env env, GFileInfo *info) {
  auto object = Napi::Object::New(env);
  object.Set("mode", ModeOf(info));
  object.Set("uid", g_file_info_get_attribute_uint32(info, "unix::uid"));
  object.Set("gid", g_file_info_get_attribute_uint32(info, "unix::gid"));
  const bool regular = g_file_info_get_file_type(info) == G_FILE_TYPE_REGULAR;
  object.Set("size", regular ? static_cast<double>(g_file_info_get_size(info)) : 0.0);
  object.Set("isDir", g_file_info_get_file_type(info) == G_FILE_TYPE_DIRECTORY);
  return object;
}

} // namespace

ModifierSpec ToModifierSpec(const Napi::Value &value) {
  auto object = value.As<Napi::Object>();
  ModifierSpec spec;
  for (std::string &path : ToStrings(object.Get("excludePaths")))
    spec.exclude_paths.insert(std::move(path));
  std::vector<std::string> patterns = ToStrings(object.Get("excludePatterns"));
  for (size_t index = 0; index + 1 < patterns.size(); index += 2) {
    ErrorSlot error;
    Ref<GRegex> pattern = CompilePattern(patterns[index], patterns[index + 1], error);
    if (pattern)
      spec.exclude_patterns.push_back(std::move(pattern));
  }
  spec.owner = {-1, ToChange(object.Get("uid")), ToChange(object.Get("gid"))};
  spec.mode_mask = object.Get("modeMask").As<Napi::Number>().Uint32Value();
  spec.mode_set = object.Get("modeSet").As<Napi::Number>().Uint32Value();
  auto overrides = object.Get("overrides").As<Napi::Array>();
  for (uint32_t index = 0; index + 3 < overrides.Length(); index += 4)
    spec.overrides[ToString(overrides.Get(index))] = {ToChange(overrides.Get(index + 1)),
                                                      ToChange(overrides.Get(index + 2)),
                                                      ToChange(overrides.Get(index + 3))};
  spec.filter = HoldFunction(object.Get("filter"));
  spec.xattrs = HoldFunction(object.Get("xattrs"));
  spec.skip_xattrs = ToBool(object.Get("skipXattrs"));
  spec.canonical_permissions = ToBool(object.Get("canonicalPermissions"));
  spec.cache = ToCache(object.Get("devInoCache"));
  spec.devino_canonical = ToBool(object.Get("devInoCanonical"));
  spec.consume = ToBool(object.Get("consume"));
  spec.generate_sizes = ToBool(object.Get("generateSizes"));
  return spec;
}

Modifier::Modifier(const ModifierSpec &spec, Task &task) : spec_(spec), task_(task) {
  int flags = OSTREE_REPO_COMMIT_MODIFIER_FLAGS_NONE;
  if (spec.skip_xattrs)
    flags |= OSTREE_REPO_COMMIT_MODIFIER_FLAGS_SKIP_XATTRS;
  if (spec.canonical_permissions)
    flags |= OSTREE_REPO_COMMIT_MODIFIER_FLAGS_CANONICAL_PERMISSIONS;
  if (spec.devino_canonical)
    flags |= OSTREE_REPO_COMMIT_MODIFIER_FLAGS_DEVINO_CANONICAL;
  if (spec.consume)
    flags |= OSTREE_REPO_COMMIT_MODIFIER_FLAGS_CONSUME;
  if (spec.generate_sizes)
    flags |= OSTREE_REPO_COMMIT_MODIFIER_FLAGS_GENERATE_SIZES;
  modifier_ = Ref<OstreeRepoCommitModifier>(ostree_repo_commit_modifier_new(
      static_cast<OstreeRepoCommitModifierFlags>(flags), OnEntry, this, nullptr));
  if (spec.xattrs)
    ostree_repo_commit_modifier_set_xattr_callback(modifier_.get(), OnXattrs, nullptr, this);
  if (spec.cache)
    ostree_repo_commit_modifier_set_devino_cache(modifier_.get(), spec.cache.get());
}

bool Modifier::Keep(const char *path, GFileInfo *info) {
  if (spec_.exclude_paths.count(path) > 0)
    return false;
  for (const Ref<GRegex> &pattern : spec_.exclude_patterns) {
    if (g_regex_match(pattern.get(), path, static_cast<GRegexMatchFlags>(0), nullptr) != FALSE)
      return false;
  }
  Apply(info, spec_.owner);
  SetMode(info, (ModeOf(info) & spec_.mode_mask) | spec_.mode_set);
  auto found = spec_.overrides.find(path);
  if (found != spec_.overrides.end())
    Apply(info, found->second);
  return !spec_.filter || AskFilter(path, info);
}

bool Modifier::AskFilter(const char *path, GFileInfo *info) {
  Verdict verdict;
  auto asked = directories_.find(path);
  if (asked != directories_.end()) {
    verdict = asked->second;
    directories_.erase(asked);
  } else {
    const bool answered = task_.Call([&](Napi::Env env) {
      auto answer =
          spec_.filter->Call({Napi::String::New(env, path), EntryToJs(env, info)}).As<Napi::Array>();
      verdict.keep = ToInt(answer.Get(0U)) != 0;
      verdict.change = {ToChange(answer.Get(1U)), ToChange(answer.Get(2U)), ToChange(answer.Get(3U))};
    });
    if (!answered)
      return false;
    if (verdict.keep && g_file_info_get_file_type(info) == G_FILE_TYPE_DIRECTORY &&
        std::strcmp(path, "/") != 0)
      directories_[path] = verdict;
  }
  if (verdict.keep)
    Apply(info, verdict.change);
  return verdict.keep;
}

OstreeRepoCommitFilterResult Modifier::OnEntry(OstreeRepo * /*repo*/, const char *path, GFileInfo *info,
                                               gpointer data) {
  return static_cast<Modifier *>(data)->Keep(path, info) ? OSTREE_REPO_COMMIT_FILTER_ALLOW
                                                         : OSTREE_REPO_COMMIT_FILTER_SKIP;
}

GVariant *Modifier::OnXattrs(OstreeRepo * /*repo*/, const char *path, GFileInfo *info, gpointer data) {
  auto *self = static_cast<Modifier *>(data);
  Ref<GVariant> xattrs;
  self->task_.Call([&](Napi::Env env) {
    xattrs = ToXattrs(self->spec_.xattrs->Call({Napi::String::New(env, path), EntryToJs(env, info)}));
  });
  return xattrs.Release();
}

Napi::Value CheckPattern(const Napi::CallbackInfo &info) {
  ErrorSlot error;
  if (CompilePattern(ToString(info[0]), ToString(info[1]), error))
    return info.Env().Undefined();
  return Napi::String::New(info.Env(), error.get()->message);
}

Napi::Value CreateDevInoCache(const Napi::CallbackInfo &info) {
  auto handle = std::make_shared<DevInoCacheHandle>();
  handle->cache = Ref<OstreeRepoDevInoCache>(ostree_repo_devino_cache_new());
  return Wrap(info.Env(), handle);
}

Ref<OstreeRepoDevInoCache> ToCache(const Napi::Value &value) {
  return value.IsUndefined() ? Ref<OstreeRepoDevInoCache>() : Unwrap<DevInoCacheHandle>(value)->cache;
}
