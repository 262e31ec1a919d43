#include <napi.h>

#include "exec.h"
#include "files.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  register_files(env, exports);
  register_exec(env, exports);
  return exports;
}

} // namespace

NODE_API_MODULE(system, init)
