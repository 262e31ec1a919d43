// Walks over the tree of a commit.
#pragma once

#include <napi.h>

Napi::Value StartWalk(const Napi::CallbackInfo &info);
Napi::Value ContinueWalk(const Napi::CallbackInfo &info);
Napi::Value CommitSize(const Napi::CallbackInfo &info);
Napi::Value TraverseCommit(const Napi::CallbackInfo &info);
