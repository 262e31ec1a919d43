#include "superblock.h"

#include "codec.h"
#include "framing.h"

namespace trees::delta {

namespace {

constexpr size_t OBJECT_SIZE = 33;
constexpr uint32_t MAX_PART_VERSION = 0;
// Members other than the parts themselves; a superblock beyond that is not one of ours nor of libostree.
constexpr uint64_t MAX_MEMBER = 1U << 30;
constexpr uint64_t MAX_ENTRIES = 1 << 20;
constexpr size_t MAX_KEY = 512;
constexpr const char *COMMIT_TYPE = "(a{sv}aya(say)sstayay)";

VariantPtr normal_variant(const char *type, View bytes, const char *what) {
  GBytes *copy = g_bytes_new(bytes.data, bytes.size);
  VariantPtr variant(g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(type), copy, FALSE)));
  g_bytes_unref(copy);
  if (!g_variant_is_normal_form(variant.get()))
    corrupt(std::string("the ") + what + " is malformed");
  return variant;
}

class Reader {
public:
  Reader(const Source &source, const Job &job) : source_(source), job_(job) {}

  Superblock run() {
    frame_members();
    Superblock block;
    Source::Stretch from = member(metadata_end_aligned_ + 8, ends_[1]);
    Source::Stretch to = member(ends_[1], ends_[2]);
    if ((from.size != 0 && from.size != 32) || to.size != 32)
      corrupt("the commit checksums are malformed");
    if (from.size == 32)
      block.from = Checksum::from_bytes(from.view().data);
    block.to = Checksum::from_bytes(to.view().data);

    Source::Stretch commit = member(align_up(ends_[2], 8), ends_[3]);
    if (Sha256::of(commit.view()) != block.to)
      corrupt("the commit object does not match its checksum");
    block.commit = normal_variant(COMMIT_TYPE, commit.view(), "commit object");
    block.commit_bytes.assign(commit.view().data, commit.view().end());
    if (ends_[4] != ends_[3])
      corrupt("it depends on other deltas, which is not supported");
    uint64_t fallbacks = align_up(ends_[5], 8);
    if (body_end_ > fallbacks)
      corrupt("it has fallback objects and cannot be applied offline");

    entries(block);
    parts(block);
    return block;
  }

private:
  Source::Stretch member(uint64_t start, uint64_t end) const {
    if (start > end || end > body_end_ || end - start > MAX_MEMBER)
      corrupt("the superblock's framing is damaged");
    return source_.read(start, end - start, job_);
  }

  // Ends of the members: metadata, from, to, commit, recursive deltas, part headers.
  void frame_members() {
    uint64_t size = source_.size();
    unsigned width = offset_size(size);
    if (size < 6 * uint64_t{width} || width == 0)
      corrupt("the static delta is too short");
    body_end_ = size - 6 * uint64_t{width};
    Source::Stretch offsets = source_.read(body_end_, 6 * uint64_t{width}, job_);
    for (size_t i = 0; i < 6; i++)
      ends_[i] = read_offset(offsets.view().data + (5 - i) * width, width);
    uint64_t previous = 0;
    for (uint64_t end : ends_) {
      if (end < previous || end > body_end_)
        corrupt("the superblock's framing is damaged");
      previous = end;
    }
    metadata_end_aligned_ = align_up(ends_[0], 8);
  }

  void entries(Superblock &block) {
    uint64_t size = ends_[0];
    if (size == 0)
      return;
    unsigned width = offset_size(size);
    if (size < width)
      corrupt("the superblock's metadata is damaged");
    uint64_t offsets_start = read_offset(source_.read(size - width, width, job_).view().data, width);
    if (offsets_start > size - width || (size - offsets_start) % width != 0)
      corrupt("the superblock's metadata is damaged");
    uint64_t count = (size - offsets_start) / width;
    if (count > MAX_ENTRIES)
      corrupt("the superblock's metadata has too many entries");
    Source::Stretch offsets = source_.read(offsets_start, size - offsets_start, job_);
    uint64_t start = 0;
    for (uint64_t i = 0; i < count; i++) {
      uint64_t end = read_offset(offsets.view().data + i * width, width);
      start = align_up(start, 8);
      if (end < start || end > offsets_start)
        corrupt("the superblock's metadata is damaged");
      spans_.push_back({start, end});
      start = end;
    }
  }

  void parts(Superblock &block) {
    headers(block);
    // Our bundles keep everything but parts in the last frame, so the keys before that need not be
    // decompressed.
    if (!classify(block, true)) {
      block.entries.clear();
      if (!classify(block, false))
        corrupt("it has " + std::to_string(block.parts.size()) + " parts, but " +
                std::to_string(block.entries.size()) + " are inline");
    }
  }

  // Sorts the metadata's entries into parts and others; false if the number of parts is not that of the
  // headers.
  bool classify(Superblock &block, bool trust_layout) {
    std::string commitmeta = delta_key(block.from, block.to, "commitmeta");
    std::string prefix = delta_key(block.from, block.to, "");
    uint64_t tail = source_.frames().empty() || !trust_layout ? 0 : source_.frames().back().raw_offset;
    char endianness = HOST_ENDIANNESS;
    for (const EntrySpan &span : spans_) {
      if (span.start < tail || is_part_key(entry_key(span), prefix)) {
        block.entries.push_back(span);
        continue;
      }
      Source::Stretch bytes = member(span.start, span.end);
      Entry entry = parse_entry(bytes.view());
      if (entry.key == commitmeta && entry.type == "a{sv}")
        block.detached = normal_variant("a{sv}", entry.value, "detached metadata");
      else if (entry.key == ENCODING_KEY && entry.type == "s" && entry.value.size > 0)
        block.encoding = std::string(entry.value.text().substr(0, entry.value.size - 1));
      else if (entry.key == ENDIANNESS_KEY && entry.type == "y" && entry.value.size == 1)
        endianness = static_cast<char>(entry.value.data[0]);
    }
    if (block.entries.size() != block.parts.size())
      return false;
    for (PartHeader &part : block.parts) {
      if (endianness != HOST_ENDIANNESS) {
        part.size = GUINT64_SWAP_LE_BE(part.size);
        part.unpacked = GUINT64_SWAP_LE_BE(part.unpacked);
      }
      block.writes += part.unpacked;
      block.objects += part.objects.size();
    }
    return true;
  }

  static bool is_part_key(std::string_view key, const std::string &prefix) {
    if (!key.starts_with(prefix) || key.size() == prefix.size())
      return false;
    return key.find_first_not_of("0123456789", prefix.size()) == std::string_view::npos;
  }

  std::string_view entry_key(const EntrySpan &span) {
    uint64_t size = std::min<uint64_t>(span.end - span.start, MAX_KEY);
    key_ = source_.read(span.start, size, job_);
    std::string_view text = key_.view().text();
    size_t end = text.find('\0');
    return end == std::string_view::npos ? std::string_view() : text.substr(0, end);
  }

  void headers(Superblock &block) {
    Source::Stretch bytes = member(align_up(ends_[4], 8), ends_[5]);
    VariantPtr list = normal_variant("a(uayttay)", bytes.view(), "list of parts");
    for (gsize i = 0, count = g_variant_n_children(list.get()); i < count; i++) {
      guint32 version;
      guint64 size, unpacked;
      GVariant *raw_checksum, *raw_objects;
      g_variant_get_child(list.get(), i, "(u@aytt@ay)", &version, &raw_checksum, &size, &unpacked,
                          &raw_objects);
      VariantPtr checksum(raw_checksum), objects(raw_objects);
      // Zero, in either byte order.
      if (version > MAX_PART_VERSION)
        corrupt("part " + std::to_string(i) + " is of a newer format");
      if (g_variant_get_size(checksum.get()) != 32 || g_variant_get_size(objects.get()) % OBJECT_SIZE != 0)
        corrupt("the header of part " + std::to_string(i) + " is malformed");
      PartHeader header{checksum_from_variant(checksum.get()), size, unpacked, {}};
      auto *data = static_cast<const uint8_t *>(g_variant_get_data(objects.get()));
      for (gsize at = 0; at < g_variant_get_size(objects.get()); at += OBJECT_SIZE) {
        uint8_t type = data[at];
        if (type != OSTREE_OBJECT_TYPE_FILE && type != OSTREE_OBJECT_TYPE_DIR_TREE &&
            type != OSTREE_OBJECT_TYPE_DIR_META && type != OSTREE_OBJECT_TYPE_COMMIT)
          corrupt("part " + std::to_string(i) + " has an object of unknown type");
        header.objects.push_back({static_cast<OstreeObjectType>(type), Checksum::from_bytes(data + at + 1)});
      }
      block.parts.push_back(std::move(header));
    }
  }

  const Source &source_;
  const Job &job_;
  uint64_t body_end_ = 0;
  uint64_t metadata_end_aligned_ = 0;
  std::array<uint64_t, 6> ends_{};
  std::vector<EntrySpan> spans_;
  Source::Stretch key_;
};

} // namespace

std::string delta_key(const std::optional<Checksum> &from, const Checksum &to, const std::string &target) {
  auto base64 = [](const Checksum &checksum) {
    CharPtr text(ostree_checksum_b64_from_bytes(checksum.bytes.data()));
    return std::string(text.get());
  };
  std::string first = base64(from ? *from : to);
  std::string key = "deltas/" + first.substr(0, 2) + "/" + first.substr(2);
  if (from)
    key += "-" + base64(to);
  return key + "/" + target;
}

Superblock read_superblock(const Source &source, const Job &job) {
  return Reader(source, job).run();
}

Entry parse_entry(View bytes) {
  unsigned width = offset_size(bytes.size);
  if (width == 0 || bytes.size < width)
    corrupt("a metadata entry is damaged");
  size_t body_end = bytes.size - width;
  uint64_t key_end = read_offset(bytes.data + body_end, width);
  size_t value_start = align_up(key_end, 8);
  if (key_end == 0 || key_end > body_end || value_start > body_end || bytes.data[key_end - 1] != 0)
    corrupt("a metadata entry is damaged");
  View variant(bytes.data + value_start, body_end - value_start);
  std::string_view text = variant.text();
  size_t separator = text.rfind('\0');
  if (separator == std::string_view::npos)
    corrupt("a metadata entry is damaged");
  return {bytes.text().substr(0, key_end - 1), View(variant.data, separator), text.substr(separator + 1)};
}

} // namespace trees::delta
