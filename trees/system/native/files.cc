#include "files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "error.h"

namespace {

std::string string_arg(const Napi::CallbackInfo &info, size_t index) {
  return info[index].As<Napi::String>().Utf8Value();
}

int int_arg(const Napi::CallbackInfo &info, size_t index) {
  return info[index].As<Napi::Number>().Int32Value();
}

/// flock(fd, operation) → false when another holder is in the way and LOCK_NB was given.
Napi::Value Flock(const Napi::CallbackInfo &info) {
  int result;
  do {
    result = flock(int_arg(info, 0), int_arg(info, 1));
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EWOULDBLOCK)
    return Napi::Boolean::New(info.Env(), false);
  if (result != 0)
    throw_errno(info.Env(), errno, "flock");
  return Napi::Boolean::New(info.Env(), true);
}

/// crc32(bytes, start): of what follows `start`. One nibble at a time, as in the launcher's plan.c.
Napi::Value Crc32(const Napi::CallbackInfo &info) {
  static constexpr uint32_t table[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  auto bytes = info[0].As<Napi::Uint8Array>();
  const uint8_t *data = bytes.Data();
  size_t size = bytes.ByteLength();
  uint32_t crc = UINT32_MAX;
  for (size_t i = info[1].As<Napi::Number>().Uint32Value(); i < size; i++) {
    crc ^= data[i];
    crc = (crc >> 4) ^ table[crc & 15];
    crc = (crc >> 4) ^ table[crc & 15];
  }
  return Napi::Number::New(info.Env(), ~crc);
}

/// isTerminal(fd): node:tty would load the network, which takes longer than anything else at a start.
Napi::Value IsTerminal(const Napi::CallbackInfo &info) {
  return Napi::Boolean::New(info.Env(), isatty(int_arg(info, 0)) == 1);
}

/// syncfs may take seconds, so it runs on a worker thread, on its own duplicate of the descriptor.
class SyncfsWorker : public Napi::AsyncWorker {
public:
  SyncfsWorker(Napi::Env env, int fd)
      : AsyncWorker(env), fd_(fd), deferred_(Napi::Promise::Deferred::New(env)) {}
  ~SyncfsWorker() override { close(fd_); }
  SyncfsWorker(const SyncfsWorker &) = delete;
  SyncfsWorker &operator=(const SyncfsWorker &) = delete;
  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override { error_ = syncfs(fd_) == 0 ? 0 : errno; }
  void OnOK() override {
    if (error_ == 0)
      deferred_.Resolve(Env().Undefined());
    else
      deferred_.Reject(make_errno(Env(), error_, "syncfs").Value());
  }

private:
  int fd_;
  int error_ = 0;
  Napi::Promise::Deferred deferred_;
};

Napi::Value Syncfs(const Napi::CallbackInfo &info) {
  int fd = fcntl(int_arg(info, 0), F_DUPFD_CLOEXEC, 3);
  if (fd < 0)
    throw_errno(info.Env(), errno, "fcntl");
  auto *worker = new SyncfsWorker(info.Env(), fd); // deletes itself when done
  Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

/// rename2(from, to, flags)
void Rename2(const Napi::CallbackInfo &info) {
  std::string from = string_arg(info, 0);
  std::string to = string_arg(info, 1);
  auto flags = info[2].As<Napi::Number>().Uint32Value();
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) != 0)
    throw_errno(info.Env(), errno, "renameat2", from + "' -> '" + to);
}

/// memfd(name, bytes) → descriptor, not inherited across exec; sealed against every change.
Napi::Value Memfd(const Napi::CallbackInfo &info) {
  std::string name = string_arg(info, 0);
  auto bytes = info[1].As<Napi::Uint8Array>();
  int fd = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0)
    throw_errno(info.Env(), errno, "memfd_create");
  size_t done = 0;
  while (done < bytes.ByteLength()) {
    ssize_t count = write(fd, bytes.Data() + done, bytes.ByteLength() - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0) {
      int error = errno;
      close(fd);
      throw_errno(info.Env(), error, "write");
    }
    done += static_cast<size_t>(count);
  }
  if (lseek(fd, 0, SEEK_SET) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    int error = errno;
    close(fd);
    throw_errno(info.Env(), error, "memfd_create");
  }
  return Napi::Number::New(info.Env(), fd);
}

/// getXattr(path, name) → bytes, or undefined when the file has no such attribute. Never follows a symlink.
Napi::Value GetXattr(const Napi::CallbackInfo &info) {
  std::string path = string_arg(info, 0);
  std::string name = string_arg(info, 1);
  std::vector<uint8_t> value(256);
  for (;;) {
    ssize_t size = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (size >= 0)
      return Napi::Buffer<uint8_t>::Copy(info.Env(), value.data(), static_cast<size_t>(size));
    if (errno == ENODATA)
      return info.Env().Undefined();
    if (errno != ERANGE)
      throw_errno(info.Env(), errno, "lgetxattr", path);
    value.resize(value.size() * 4);
  }
}

/// setXattr(path, name, bytes). Never follows a symlink.
void SetXattr(const Napi::CallbackInfo &info) {
  std::string path = string_arg(info, 0);
  auto value = info[2].As<Napi::Uint8Array>();
  if (lsetxattr(path.c_str(), string_arg(info, 1).c_str(), value.Data(), value.ByteLength(), 0) != 0)
    throw_errno(info.Env(), errno, "lsetxattr", path);
}

/// listXattrs(path) → names. Never follows a symlink.
Napi::Value ListXattrs(const Napi::CallbackInfo &info) {
  std::string path = string_arg(info, 0);
  std::vector<char> names(1024);
  ssize_t size;
  while ((size = llistxattr(path.c_str(), names.data(), names.size())) < 0) {
    if (errno != ERANGE)
      throw_errno(info.Env(), errno, "llistxattr", path);
    names.resize(names.size() * 4);
  }
  Napi::Array result = Napi::Array::New(info.Env());
  for (size_t start = 0; start < static_cast<size_t>(size);) {
    std::string name(names.data() + start);
    result.Set(result.Length(), Napi::String::New(info.Env(), name));
    start += name.size() + 1;
  }
  return result;
}

} // namespace

void register_files(Napi::Env env, Napi::Object exports) {
  exports.Set("flock", Napi::Function::New(env, Flock));
  exports.Set("crc32", Napi::Function::New(env, Crc32));
  exports.Set("isTerminal", Napi::Function::New(env, IsTerminal));
  exports.Set("syncfs", Napi::Function::New(env, Syncfs));
  exports.Set("rename2", Napi::Function::New(env, Rename2));
  exports.Set("memfd", Napi::Function::New(env, Memfd));
  exports.Set("getXattr", Napi::Function::New(env, GetXattr));
  exports.Set("setXattr", Napi::Function::New(env, SetXattr));
  exports.Set("listXattrs", Napi::Function::New(env, ListXattrs));
}
