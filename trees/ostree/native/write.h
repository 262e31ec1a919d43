// Writing objects.
#pragma once

#include <napi.h>

#include <optional>
#include <string>

#include "glib-ptr.h"
#include "repo.h"

// The parts of a commit that are not its tree.
struct CommitFields {
  std::optional<std::string> parent;
  std::string subject;
  std::string body;
  guint64 timestamp;
  Ref<GVariant> metadata;
};
CommitFields ToCommitFields(const Napi::Value &value);

// Writes a commit of an existing tree.
std::string WriteCommitOf(OpenRepo &repo, OstreeRepoFile *root, const CommitFields &fields,
                          GCancellable *cancellable);

Napi::Value WriteDetachedMetadata(const Napi::CallbackInfo &info);
Napi::Value WriteDirTree(const Napi::CallbackInfo &info);
Napi::Value WriteDirTrees(const Napi::CallbackInfo &info);
Napi::Value WriteDirMeta(const Napi::CallbackInfo &info);
Napi::Value WriteRegular(const Napi::CallbackInfo &info);
Napi::Value WriteSymlink(const Napi::CallbackInfo &info);
Napi::Value WriteCommit(const Napi::CallbackInfo &info);
