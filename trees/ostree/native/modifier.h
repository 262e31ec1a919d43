// Commit modifiers: what is left out or changed while a directory is committed.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "task.h"

// -1 keeps what is there.
struct EntryChange {
  int64_t mode = -1;
  int64_t uid = -1;
  int64_t gid = -1;
};

struct DevInoCacheHandle {
  Ref<OstreeRepoDevInoCache> cache;
};

struct ModifierSpec {
  std::unordered_set<std::string> exclude_paths;
  std::vector<Ref<GRegex>> exclude_patterns;
  EntryChange owner;
  guint32 mode_mask = 07777;
  guint32 mode_set = 0;
  std::unordered_map<std::string, EntryChange> overrides;
  FunctionHolder filter;
  FunctionHolder xattrs;
  bool skip_xattrs = false;
  bool canonical_permissions = false;
  Ref<OstreeRepoDevInoCache> cache;
  bool devino_canonical = false;
  bool consume = false;
  bool generate_sizes = false;
};
ModifierSpec ToModifierSpec(const Napi::Value &value);

// A modifier in use by one task, on the thread of its work.
class Modifier {
public:
  Modifier(const ModifierSpec &spec, Task &task);
  OstreeRepoCommitModifier *get() const { return modifier_.get(); }

private:
  static OstreeRepoCommitFilterResult OnEntry(OstreeRepo *repo, const char *path, GFileInfo *info,
                                              gpointer data);
  static GVariant *OnXattrs(OstreeRepo *repo, const char *path, GFileInfo *info, gpointer data);
  bool Keep(const char *path, GFileInfo *info);
  bool AskFilter(const char *path, GFileInfo *info);

  struct Verdict {
    bool keep = false;
    EntryChange change;
  };

  const ModifierSpec &spec_;
  Task &task_;
  // libostree asks twice about each directory but the root: from its parent, and when it enters it.
  std::unordered_map<std::string, Verdict> directories_;
  Ref<OstreeRepoCommitModifier> modifier_;
};

Napi::Value CheckPattern(const Napi::CallbackInfo &info);
Napi::Value CreateDevInoCache(const Napi::CallbackInfo &info);
// The cache behind a handle, or nothing for undefined.
Ref<OstreeRepoDevInoCache> ToCache(const Napi::Value &value);
