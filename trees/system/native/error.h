#pragma once
#include <napi.h>

#include <string>

/// Throws a Node-style system error: `code`, `errno` (negative, as Node's own), `syscall` and `path`.
[[noreturn]] void throw_errno(Napi::Env env, int error, const char *syscall, const std::string &path = {});

/// The same as a value, for rejecting a promise.
Napi::Error make_errno(Napi::Env env, int error, const char *syscall, const std::string &path = {});
