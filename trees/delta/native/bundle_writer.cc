#include "bundle_writer.h"

#include "framing.h"
#include "superblock.h"

namespace trees::delta {

namespace {

constexpr uint32_t PART_VERSION = 0;
constexpr size_t OBJECT_SIZE = 33;

void append_entry(Bytes &out, const std::string &key, const std::string &type, View value) {
  EntryFrame frame = entry_frame(out.size(), key, type, value.size);
  append(out, frame.head.data(), frame.head.size());
  append(out, value.data, value.size);
  append(out, frame.tail.data(), frame.tail.size());
}

GVariant *bytes_variant(const void *data, size_t size) {
  return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1);
}

} // namespace

EncodedPart encode_part(Rope part, const std::string &key, const FrameOptions &options, Crew &crew,
                        const Job &job, const Consumed &consumed) {
  EncodedPart encoded;
  encoded.part_size = part.size();
  Sha256 hash;
  part.each([&](View piece) { hash.update(piece); });
  encoded.part_checksum = hash.finish();

  EntryFrame entry = entry_frame(0, key, "(yay)", encoded.part_size);
  part.head.insert(part.head.begin(), entry.head.begin(), entry.head.end());
  append(part.tail, entry.tail.data(), entry.tail.size());
  encoded.entry_end = part.size();
  // Every frame starts aligned, whatever the sizes of those before it.
  pad(part.tail, part.size(), 8);

  if (options.keep_raw) {
    encoded.raw.reserve(part.size());
    part.each([&](View piece) { append(encoded.raw, piece.data, piece.size); });
    return encoded;
  }
  std::vector<uint64_t> starts{0}, sizes;
  for (uint64_t cut : options.cuts)
    starts.push_back(entry.head.size() + cut);
  for (size_t i = 0; i < starts.size(); i++)
    sizes.push_back((i + 1 < starts.size() ? starts[i + 1] : part.size()) - starts[i]);
  encoded.frames.resize(starts.size());
  crew.each_by_size(sizes, [&](size_t i) {
    encoded.frames[i] = {zstd_frame(part, starts[i], sizes[i], options.level, job, consumed), sizes[i]};
  });
  return encoded;
}

void BundleWriter::frame(const Bytes &bytes, uint64_t raw_size) {
  write_all(fd_, bytes.data(), bytes.size());
  hash_.update(View(bytes));
  frames_.push_back({offset_, bytes.size(), raw_offset_, raw_size});
  offset_ += bytes.size();
  raw_offset_ += raw_size;
}

void BundleWriter::add(EncodedPart part) {
  entry_ends_.push_back(raw_offset_ + part.entry_end);
  for (const auto &compressed : part.frames)
    frame(compressed.bytes, compressed.raw_size);
  raw_part_ = std::move(part.raw);
  stats_.parts++;
  stats_.objects += part.objects.size();
  stats_.writes += part.unpacked;
  headers_.push_back({part.part_checksum, part.part_size, part.unpacked, std::move(part.objects)});
}

Bytes BundleWriter::tail() {
  // Starts at an aligned offset of the superblock; positions below are relative to that.
  Bytes out = std::move(raw_part_);
  auto entry = [&](const std::string &key, const std::string &type, View value) {
    append_entry(out, key, type, value);
    entry_ends_.push_back(raw_offset_ + out.size());
  };
  uint8_t endianness = HOST_ENDIANNESS;
  entry(ENDIANNESS_KEY, "y", View(&endianness, 1));
  std::string encoding = spec_.encoding;
  entry(ENCODING_KEY, "s", View(reinterpret_cast<const uint8_t *>(encoding.c_str()), encoding.size() + 1));
  if (spec_.detached != nullptr) {
    Bytes detached;
    append_variant(detached, spec_.detached.get());
    entry(delta_key(spec_.from, spec_.to, "commitmeta"), "a{sv}", View(detached));
  }
  unsigned width = offset_size_for(raw_offset_ + out.size(), entry_ends_.size());
  for (uint64_t end : entry_ends_)
    append_offset(out, end, width);

  // Ends of the superblock's members that are not of fixed size, for its framing offsets.
  std::vector<uint64_t> ends;
  auto end_member = [&] { ends.push_back(raw_offset_ + out.size()); };
  end_member();
  pad(out, out.size(), 8);
  // A reproducible bundle carries its commit's time, not the clock's. Both are big-endian.
  guint64 timestamp = 0;
  g_variant_get_child(spec_.commit.get(), 5, "t", &timestamp);
  append(out, &timestamp, sizeof timestamp);
  if (spec_.from)
    append(out, spec_.from->bytes.data(), spec_.from->bytes.size());
  end_member();
  append(out, spec_.to.bytes.data(), spec_.to.bytes.size());
  end_member();
  pad(out, out.size(), 8);
  append_variant(out, spec_.commit.get());
  end_member();
  end_member(); // no recursive deltas

  GVariantBuilder builder;
  g_variant_builder_init(&builder, G_VARIANT_TYPE("a(uayttay)"));
  for (const Header &header : headers_) {
    Bytes objects;
    objects.reserve(header.objects.size() * OBJECT_SIZE);
    for (const PartObject &object : header.objects) {
      objects.push_back(static_cast<uint8_t>(object.type));
      append(objects, object.checksum.bytes.data(), object.checksum.bytes.size());
    }
    g_variant_builder_add(&builder, "(u@aytt@ay)", PART_VERSION,
                          bytes_variant(header.checksum.bytes.data(), header.checksum.bytes.size()),
                          header.size, header.unpacked, bytes_variant(objects.data(), objects.size()));
  }
  VariantPtr headers(g_variant_ref_sink(g_variant_builder_end(&builder)));
  pad(out, out.size(), 8);
  append_variant(out, headers.get());
  end_member();
  pad(out, out.size(), 8); // no fallback objects
  width = offset_size_for(raw_offset_ + out.size(), ends.size());
  for (auto end = ends.rbegin(); end != ends.rend(); ++end)
    append_offset(out, *end, width);
  return out;
}

BundleStats BundleWriter::finish(const Job &job) {
  Rope rope;
  rope.head = tail();
  uint64_t size = rope.size();
  uint64_t start = offset_;
  frame(zstd_frame(rope, 0, size, spec_.level, job), size);
  Bytes table = seek_table(frames_);
  write_all(fd_, table.data(), table.size());
  hash_.update(View(table));
  stats_.size = offset_ + table.size();
  stats_.tail = stats_.size - start;
  stats_.raw_size = raw_offset_;
  stats_.sha256 = hash_.finish();
  return stats_;
}

} // namespace trees::delta
