#include "superblock.h"

#include <cstring>

#include "gerror.h"

namespace {

constexpr const char *kSuperblock = "(a{sv}tayay(a{sv}aya(say)sstayay)aya(uayttay)a(yaytt))";
constexpr const char *kSigned = "(taya{sv})";
constexpr guint64 kSignedMagic = 0x4F535453474E4454; // OSTSGNDT
constexpr size_t kObjectSize = 1 + OSTREE_SHA256_DIGEST_LEN;

Ref<GVariant> Child(GVariant *variant, size_t index) {
  return Ref<GVariant>(g_variant_get_child_value(variant, index));
}

Ref<GVariant> MapFile(const std::string &path) {
  ErrorSlot error;
  std::string file = path;
  if (g_file_test(path.c_str(), G_FILE_TEST_IS_DIR) != FALSE)
    file += "/superblock";
  GMappedFile *mapped_out = g_mapped_file_new(file.c_str(), FALSE, error);
  // g_file_error domain: callers look for GIO's codes.
  if (mapped_out == nullptr) {
    const bool missing = g_error_matches(error.get(), G_FILE_ERROR, G_FILE_ERROR_NOENT) != FALSE;
    throw GlibError("cannot read delta: " + std::string(error.get()->message),
                    missing ? G_IO_ERROR_NOT_FOUND : G_IO_ERROR_FAILED);
  }
  Ref<GMappedFile> mapped(mapped_out);
  Ref<GBytes> bytes(g_mapped_file_get_bytes(mapped.get()));
  Ref<GVariant> outer = SinkVariant(g_variant_new_from_bytes(G_VARIANT_TYPE(kSigned), bytes.get(), FALSE));
  guint64 magic = 0;
  Ref<GVariant> magic_field = Child(outer.get(), 0);
  magic = GUINT64_FROM_BE(g_variant_get_uint64(magic_field.get()));
  if (magic == kSignedMagic) {
    Ref<GVariant> wrapped = Child(outer.get(), 1);
    bytes = Ref<GBytes>(g_variant_get_data_as_bytes(wrapped.get()));
  }
  return SinkVariant(g_variant_new_from_bytes(G_VARIANT_TYPE(kSuperblock), bytes.get(), FALSE));
}

// As libostree decides it: stated in the metadata, else by whether the sizes make sense.
bool NeedsSwap(GVariant *metadata, GVariant *headers) {
  guchar endianness = 0;
  if (g_variant_lookup(metadata, "ostree.endianness", "y", &endianness) != FALSE)
    return (endianness == 'B') == (G_BYTE_ORDER == G_LITTLE_ENDIAN);
  guint64 total = 0;
  guint64 objects = 0;
  for (size_t index = 0; index < g_variant_n_children(headers); ++index) {
    Ref<GVariant> header = Child(headers, index);
    guint64 size = 0;
    guint64 uncompressed = 0;
    Ref<GVariant> list;
    g_variant_get(header.get(), "(u@aytt@ay)", nullptr, nullptr, &size, &uncompressed, list.Out());
    if (static_cast<double>(size) > 1.2 * static_cast<double>(uncompressed))
      return true;
    total += size;
    objects += g_variant_get_size(list.get()) / kObjectSize;
  }
  return objects > 0 && total / objects > G_MAXUINT32;
}

guint64 Swapped(guint64 value, bool swap) {
  return swap ? GUINT64_SWAP_LE_BE(value) : value;
}

std::vector<ObjectName> ToObjects(GVariant *list) {
  gsize size = 0;
  const auto *data = static_cast<const guchar *>(g_variant_get_fixed_array(list, &size, 1));
  if (size % kObjectSize != 0)
    throw GlibError("invalid delta: the object list of a part is malformed", G_IO_ERROR_INVALID_DATA);
  std::vector<ObjectName> objects;
  for (size_t offset = 0; offset < size; offset += kObjectSize)
    objects.push_back({static_cast<OstreeObjectType>(data[offset]), ToChecksum(data + offset + 1)});
  return objects;
}

std::string Base64(const std::string &checksum) {
  guchar bytes[OSTREE_SHA256_DIGEST_LEN];
  ostree_checksum_inplace_to_bytes(checksum.c_str(), bytes);
  char text[44];
  ostree_checksum_b64_inplace_from_bytes(bytes, text);
  return text;
}

// Where the delta lives in a repository, which is also how its metadata names what it carries.
std::string RelativePath(const std::optional<std::string> &from, const std::string &to) {
  std::string target = Base64(to);
  if (!from)
    return "deltas/" + target.substr(0, 2) + "/" + target.substr(2);
  std::string source = Base64(*from);
  return "deltas/" + source.substr(0, 2) + "/" + source.substr(2) + "-" + target;
}

} // namespace

Superblock ReadSuperblock(const std::string &path) {
  Ref<GVariant> block = MapFile(path);
  Ref<GVariant> metadata = Child(block.get(), 0);
  Ref<GVariant> headers = Child(block.get(), 6);
  Ref<GVariant> fallbacks = Child(block.get(), 7);
  Ref<GVariant> timestamp = Child(block.get(), 1);
  Ref<GVariant> from = Child(block.get(), 2);
  Ref<GVariant> to = Child(block.get(), 3);
  // GVariant reads anything as something; a superblock without a target is none.
  if (g_variant_get_size(to.get()) != OSTREE_SHA256_DIGEST_LEN)
    throw GlibError("invalid delta: " + path + " is not a static delta, or it is truncated",
                    G_IO_ERROR_INVALID_DATA);

  Superblock result = {};
  result.from = ToOptionalChecksum(from.get(), "source of delta");
  result.to = ToChecksum(to.get(), "target of delta");
  result.timestamp = GUINT64_FROM_BE(g_variant_get_uint64(timestamp.get()));
  result.commit = Child(block.get(), 4);
  const bool swap = NeedsSwap(metadata.get(), headers.get());
  const std::string base = RelativePath(result.from, result.to);
  result.detached = Ref<GVariant>(
      g_variant_lookup_value(metadata.get(), (base + "/commitmeta").c_str(), G_VARIANT_TYPE("a{sv}")));

  const size_t count = g_variant_n_children(headers.get());
  for (size_t index = 0; index < count; ++index) {
    Ref<GVariant> header = Child(headers.get(), index);
    DeltaPart part = {};
    guint32 version = 0;
    guint64 size = 0;
    guint64 uncompressed = 0;
    Ref<GVariant> checksum;
    Ref<GVariant> objects;
    g_variant_get(header.get(), "(u@aytt@ay)", &version, checksum.Out(), &size, &uncompressed, objects.Out());
    part.version = swap ? GUINT32_SWAP_LE_BE(version) : version;
    part.checksum = ToChecksum(checksum.get(), "checksum of delta part");
    part.size = Swapped(size, swap);
    part.uncompressed_size = Swapped(uncompressed, swap);
    part.objects = ToObjects(objects.get());
    result.parts.push_back(std::move(part));
  }
  Ref<GVariant> first(g_variant_lookup_value(metadata.get(), (base + "/0").c_str(), G_VARIANT_TYPE("(yay)")));
  result.inline_parts = count > 0 && static_cast<bool>(first);

  for (size_t index = 0; index < g_variant_n_children(fallbacks.get()); ++index) {
    Ref<GVariant> fallback = Child(fallbacks.get(), index);
    guchar type = 0;
    guint64 compressed = 0;
    Ref<GVariant> checksum;
    g_variant_get(fallback.get(), "(y@aytt)", &type, checksum.Out(), &compressed, nullptr);
    result.fallbacks.push_back(
        {{static_cast<OstreeObjectType>(type), ToChecksum(checksum.get(), "fallback of delta")},
         Swapped(compressed, swap)});
  }
  return result;
}
