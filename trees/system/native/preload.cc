#include "preload.h"

#include <dlfcn.h>

#include <string>
#include <system_error>
#include <thread>

namespace {

// The process must not end while libraries are set up; it does not wait longer than loading them takes.
class Loading {
public:
  void start(std::string library) {
    if (thread_.joinable())
      return;
    thread_ =
        std::thread([library = std::move(library)] { ::dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL); });
  }
  ~Loading() {
    if (thread_.joinable())
      thread_.join();
  }

private:
  std::thread thread_;
};

void preload(const Napi::CallbackInfo &info) {
  static Loading loading;
  try {
    loading.start(info[0].As<Napi::String>().Utf8Value());
  } catch (const std::system_error &) {
    // No thread for it: it is loaded when it is needed.
  }
}

} // namespace

void register_preload(Napi::Env env, Napi::Object exports) {
  exports.Set("preload", Napi::Function::New(env, preload, "preload"));
}
