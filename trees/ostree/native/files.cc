#include "files.h"

#include <sys/stat.h>

#include <vector>

#include "repo.h"
#include "task.h"
#include "values.h"

namespace {

struct OpenStream {
  std::mutex mutex;
  Ref<GInputStream> input;
};

struct LoadedFile {
  Ref<GInputStream> input;
  Ref<GFileInfo> info;
};

LoadedFile LoadRegular(OpenRepo &repo, const std::string &checksum, GCancellable *cancellable) {
  ErrorSlot error;
  LoadedFile file;
  error.Check(ostree_repo_load_file(repo.get(), checksum.c_str(), file.input.Out(), file.info.Out(), nullptr,
                                    cancellable, error));
  if (!file.input || g_file_info_get_file_type(file.info.get()) != G_FILE_TYPE_REGULAR)
    throw GlibError("cannot read " + checksum + ".file: it is a symbolic link", G_IO_ERROR_NOT_REGULAR_FILE);
  return file;
}

// Reads until `size` bytes are there or the stream ends.
std::shared_ptr<std::vector<guint8>> ReadAll(GInputStream *input, size_t size, GCancellable *cancellable) {
  ErrorSlot error;
  auto content = std::make_shared<std::vector<guint8>>(size);
  // GIO refuses the null pointer that an empty vector has.
  if (size == 0)
    return content;
  gsize read = 0;
  error.Check(g_input_stream_read_all(input, content->data(), size, &read, cancellable, error));
  content->resize(read);
  return content;
}

// Hands the bytes over without another copy where the runtime allows it.
Napi::Value ContentToJs(Napi::Env env, const std::shared_ptr<std::vector<guint8>> &content) {
  if (content->empty())
    return Napi::Uint8Array::New(env, 0);
  auto *owner = new std::shared_ptr<std::vector<guint8>>(content);
  auto buffer = Napi::ArrayBuffer::New(
      env, content->data(), content->size(),
      [](Napi::BasicEnv, void *, std::shared_ptr<std::vector<guint8>> *hint) { delete hint; }, owner);
  return Napi::Uint8Array::New(env, content->size(), buffer, 0);
}

} // namespace

template <> const napi_type_tag HandleTag<OpenStream>::tag = {0x7d2e4f6a8b1c3950, 0x3a5c7e9f1b2d4860};

Napi::Value ReadFileInfo(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), checksum = ToString(info[1])](Task &task) -> Result {
        ErrorSlot error;
        Ref<GFileInfo> file;
        Ref<GVariant> xattrs;
        error.Check(ostree_repo_load_file(repo->get(), checksum.c_str(), nullptr, file.Out(), xattrs.Out(),
                                          task.Cancel(), error));
        return [file, xattrs](Napi::Env env) -> Napi::Value {
          const bool link = g_file_info_get_file_type(file.get()) == G_FILE_TYPE_SYMBOLIC_LINK;
          auto object = Napi::Object::New(env);
          object.Set("kind", link ? "symlink" : "regular");
          object.Set("uid", g_file_info_get_attribute_uint32(file.get(), "unix::uid"));
          object.Set("gid", g_file_info_get_attribute_uint32(file.get(), "unix::gid"));
          object.Set("mode", g_file_info_get_attribute_uint32(file.get(), "unix::mode"));
          object.Set("size", link ? 0.0 : static_cast<double>(g_file_info_get_size(file.get())));
          const char *target = link ? g_file_info_get_symlink_target(file.get()) : nullptr;
          object.Set("target", target == nullptr ? env.Undefined() : Napi::String::New(env, target));
          object.Set("xattrs", XattrsToJs(env, xattrs.get()));
          return object;
        };
      });
}

Napi::Value ReadFile(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[3], Lane::kPool,
                     [repo = UnwrapRepo(info[0]), checksum = ToString(info[1]),
                      max_size = ToDouble(info[2])](Task &task) -> Result {
                       LoadedFile file = LoadRegular(*repo, checksum, task.Cancel());
                       const auto size = static_cast<size_t>(g_file_info_get_size(file.info.get()));
                       if (static_cast<double>(size) > max_size)
                         throw GlibError("cannot read " + checksum + ".file: it has " + std::to_string(size) +
                                             " bytes, more than maxSize",
                                         G_IO_ERROR_MESSAGE_TOO_LARGE);
                       auto content = ReadAll(file.input.get(), size, task.Cancel());
                       if (content->size() != size)
                         throw GlibError("cannot read " + checksum + ".file: it is truncated",
                                         G_IO_ERROR_INVALID_DATA);
                       return [content](Napi::Env env) { return ContentToJs(env, content); };
                     });
}

Napi::Value OpenFile(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), checksum = ToString(info[1])](Task &task) -> Result {
                       auto stream = std::make_shared<OpenStream>();
                       stream->input = LoadRegular(*repo, checksum, task.Cancel()).input;
                       return [stream](Napi::Env env) -> Napi::Value { return Wrap(env, stream); };
                     });
}

Napi::Value ReadStream(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[2], Lane::kPool,
                     [stream = Unwrap<OpenStream>(info[0]),
                      size = static_cast<size_t>(ToDouble(info[1]))](Task &task) -> Result {
                       std::lock_guard<std::mutex> guard(stream->mutex);
                       if (!stream->input)
                         throw GlibError("cannot read a closed stream", G_IO_ERROR_CLOSED);
                       auto content = ReadAll(stream->input.get(), size, task.Cancel());
                       if (content->empty())
                         return nullptr;
                       return [content](Napi::Env env) { return ContentToJs(env, content); };
                     });
}

Napi::Value CloseStream(const Napi::CallbackInfo &info) {
  std::shared_ptr<OpenStream> stream = Unwrap<OpenStream>(info[0]);
  // The generator that owns the stream closes it between reads, never during one.
  std::lock_guard<std::mutex> guard(stream->mutex);
  stream->input.Reset();
  return info.Env().Undefined();
}
