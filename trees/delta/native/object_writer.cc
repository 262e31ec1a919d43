#include "object_writer.h"

#include <sys/stat.h>

#include "codec.h"

namespace trees::delta {

namespace {

struct BytesUnref {
  void operator()(GBytes *bytes) const { g_bytes_unref(bytes); }
};

ObjectPtr<GFileInfo> file_info(uint32_t uid, uint32_t gid, uint32_t mode, View content) {
  ObjectPtr<GFileInfo> info(g_file_info_new());
  g_file_info_set_attribute_uint32(info.get(), "unix::uid", uid);
  g_file_info_set_attribute_uint32(info.get(), "unix::gid", gid);
  g_file_info_set_attribute_uint32(info.get(), "unix::mode", mode);
  if (S_ISLNK(mode)) {
    std::string target(content.text());
    g_file_info_set_file_type(info.get(), G_FILE_TYPE_SYMBOLIC_LINK);
    g_file_info_set_symlink_target(info.get(), target.c_str());
    g_file_info_set_size(info.get(), 0);
  } else {
    g_file_info_set_file_type(info.get(), G_FILE_TYPE_REGULAR);
    g_file_info_set_size(info.get(), static_cast<goffset>(content.size));
  }
  return info;
}

// libostree's content stream: header, then content. The checksum of a file object covers exactly these bytes.
struct ContentStream {
  ObjectPtr<GInputStream> stream;
  guint64 size = 0;
};

ContentStream content_stream(GFileInfo *info, GVariant *xattrs, GInputStream *content) {
  ContentStream result;
  GInputStream *raw = nullptr;
  GErrorSlot error;
  if (!ostree_raw_file_to_content_stream(content, info, xattrs, &raw, &result.size, nullptr, &error))
    error.raise("INTERNAL", "cannot build a file object");
  result.stream.reset(raw);
  return result;
}

Checksum file_checksum(GFileInfo *info, GVariant *xattrs, View content) {
  // With an empty content stream in place of the content this gives the header, from libostree itself.
  ObjectPtr<GInputStream> nothing(g_memory_input_stream_new());
  bool symlink = g_file_info_get_file_type(info) == G_FILE_TYPE_SYMBOLIC_LINK;
  ContentStream header = content_stream(info, xattrs, symlink ? nullptr : nothing.get());
  Sha256 hash;
  uint8_t buffer[4096];
  GErrorSlot error;
  for (;;) {
    gssize count = g_input_stream_read(header.stream.get(), buffer, sizeof buffer, nullptr, &error);
    if (count < 0)
      error.raise("INTERNAL", "cannot read a file object's header");
    if (count == 0)
      break;
    hash.update(View(buffer, static_cast<size_t>(count)));
  }
  if (!symlink)
    hash.update(content);
  return hash.finish();
}

} // namespace

Mismatch::Mismatch(OstreeObjectType type, const Checksum &expected, const Checksum &actual)
    : Failure("BUNDLE_CORRUPT",
              std::string("it gives ") + type_name(type) + " " + expected.hex() + " the content of " +
                  actual.hex(),
              {{"object", expected.hex()}, {"type", type_name(type)}}) {}

void ObjectWriter::metadata(OstreeObjectType type, const Checksum &checksum, View content) {
  Checksum actual = Sha256::of(content);
  if (actual != checksum)
    throw Mismatch(type, checksum, actual);
  std::unique_ptr<GBytes, BytesUnref> bytes(g_bytes_new(content.data, content.size));
  VariantPtr variant(
      g_variant_ref_sink(g_variant_new_from_bytes(ostree_metadata_variant_type(type), bytes.get(), FALSE)));
  GErrorSlot error;
  if (!ostree_repo_write_metadata(repo_.get(), type, checksum.hex().c_str(), variant.get(), nullptr,
                                  job_.cancellable.get(), &error))
    error.raise("BUNDLE_CORRUPT", "cannot write an object to " + repo_.path());
  objects_++;
  bytes_ += content.size;
}

void ObjectWriter::file(const Checksum &checksum, uint32_t uid, uint32_t gid, uint32_t mode, GVariant *xattrs,
                        View content) {
  bool symlink = S_ISLNK(mode);
  if (!symlink && !S_ISREG(mode))
    corrupt("file " + checksum.hex() + " is neither a regular file nor a symbolic link");
  ObjectPtr<GFileInfo> info = file_info(uid, gid, mode, content);
  Checksum actual = file_checksum(info.get(), xattrs, content);
  if (actual != checksum)
    throw Mismatch(OSTREE_OBJECT_TYPE_FILE, checksum, actual);
  ObjectPtr<GInputStream> memory;
  if (!symlink)
    memory.reset(
        g_memory_input_stream_new_from_data(content.data, static_cast<gssize>(content.size), nullptr));
  ContentStream stream = content_stream(info.get(), xattrs, memory.get());
  GErrorSlot error;
  // Without an output checksum libostree trusts ours.
  if (!ostree_repo_write_content(repo_.get(), checksum.hex().c_str(), stream.stream.get(), stream.size,
                                 nullptr, job_.cancellable.get(), &error))
    error.raise("IO", "cannot write an object to " + repo_.path());
  objects_++;
  bytes_ += content.size;
}

} // namespace trees::delta
