#include <napi.h>

#include "exec.h"
#include "files.h"
#include "preload.h"

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
  register_files(env, exports);
  register_exec(env, exports);
  register_preload(env, exports);
  return exports;
}

} // namespace

NODE_API_MODULE(system, init)
