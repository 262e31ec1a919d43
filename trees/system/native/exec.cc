#include "exec.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "error.h"

namespace {

std::vector<std::string> strings(const Napi::Value &value) {
  auto array = value.As<Napi::Array>();
  std::vector<std::string> result;
  for (uint32_t i = 0; i < array.Length(); i++)
    result.push_back(array.Get(i).As<Napi::String>().Utf8Value());
  return result;
}

std::vector<char *> pointers(std::vector<std::string> &list) {
  std::vector<char *> result;
  for (auto &item : list)
    result.push_back(item.data());
  result.push_back(nullptr);
  return result;
}

/// What libuv and Node change in the process and an exec'd program must not inherit: stdio in non-blocking
/// mode (a property of the open file, shared even with the parent shell) and close-on-exec, SIGPIPE ignored,
/// a raised descriptor limit.
void undo_node(rlim_t nofile_soft) {
  for (int fd = 0; fd <= 2; fd++) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
      continue;
    if ((flags & O_NONBLOCK) != 0)
      fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    fcntl(fd, F_SETFD, 0);
  }
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  rlimit limit{};
  if (nofile_soft > 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && nofile_soft < limit.rlim_cur) {
    limit.rlim_cur = nofile_soft;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

/// Node raises the soft limit of open files to the hard one and forgets what it was. The parent (the user's
/// shell) still has it; the kernel's own default where that cannot be read. prlimit(2) would need the parent
/// to be the same user's.
rlim_t soft_file_limit() {
  constexpr rlim_t kernels_own = 1024;
  std::ifstream limits("/proc/" + std::to_string(getppid()) + "/limits");
  std::string line;
  while (std::getline(limits, line)) {
    constexpr std::string_view name = "Max open files";
    if (!line.starts_with(name))
      continue;
    rlim_t soft = strtoull(line.c_str() + name.size(), nullptr, 10);
    return soft > 0 ? soft : kernels_own;
  }
  return kernels_own;
}

/// execve(path, argv, env, keep): returns only by throwing. `keep` are the descriptors to pass on.
void Execve(const Napi::CallbackInfo &info) {
  std::string path = info[0].As<Napi::String>().Utf8Value();
  auto argv = strings(info[1]);
  auto env = strings(info[2]);
  auto keep = info[3].As<Napi::Array>();
  for (uint32_t i = 0; i < keep.Length(); i++) {
    int fd = keep.Get(i).As<Napi::Number>().Int32Value();
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC) != 0)
      throw_errno(info.Env(), errno, "fcntl");
  }
  if (access(path.c_str(), X_OK) != 0)
    throw_errno(info.Env(), errno, "execve", path);
  auto argv_pointers = pointers(argv);
  auto env_pointers = pointers(env);
  undo_node(soft_file_limit());
  // Node's threads block signals, and the mask survives exec.
  sigset_t none;
  sigset_t before;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, &before);
  execve(path.c_str(), argv_pointers.data(), env_pointers.data());
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  throw_errno(info.Env(), error, "execve", path);
}

} // namespace

void register_exec(Napi::Env env, Napi::Object exports) {
  exports.Set("execve", Napi::Function::New(env, Execve));
}
