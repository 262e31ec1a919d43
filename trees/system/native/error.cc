#include "error.h"

#include <cstring>

Napi::Error make_errno(Napi::Env env, int error, const char *syscall, const std::string &path) {
  const char *name = strerrorname_np(error);
  const char *text = strerrordesc_np(error);
  std::string code = name != nullptr ? name : "EUNKNOWN";
  std::string message = code;
  message.append(": ").append(text != nullptr ? text : "unknown error").append(", ").append(syscall);
  if (!path.empty())
    message.append(" '").append(path).append("'");
  Napi::Error result = Napi::Error::New(env, message);
  result.Set("code", Napi::String::New(env, code));
  result.Set("errno", Napi::Number::New(env, -error));
  result.Set("syscall", Napi::String::New(env, syscall));
  if (!path.empty())
    result.Set("path", Napi::String::New(env, path));
  return result;
}

void throw_errno(Napi::Env env, int error, const char *syscall, const std::string &path) {
  throw make_errno(env, error, syscall, path);
}
