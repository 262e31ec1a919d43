#include "part.h"

#include "framing.h"

namespace trees::delta {

namespace {
constexpr size_t ALIGNMENT = 8;
} // namespace

void PartBuilder::number(uint64_t value) {
  while (value >= 0x80) {
    ops_.push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  ops_.push_back(static_cast<uint8_t>(value));
}

void PartBuilder::object(OstreeObjectType type, const Checksum &checksum, uint64_t unpacked) {
  objects_.push_back({type, checksum});
  unpacked_ += unpacked;
}

void PartBuilder::mode_and_xattrs(const FileMeta &meta) {
  std::array<uint32_t, 3> mode{meta.uid, meta.gid, meta.mode};
  auto [mode_entry, new_mode] = mode_index_.try_emplace(mode, modes_.size());
  if (new_mode)
    modes_.push_back(mode);
  auto [xattr_entry, new_xattrs] =
      xattr_index_.try_emplace(std::string(View(meta.xattrs).text()), xattrs_.size());
  if (new_xattrs)
    xattrs_.push_back(meta.xattrs);
  number(mode_entry->second);
  number(xattr_entry->second);
}

void PartBuilder::metadata(OstreeObjectType type, const Checksum &checksum, View content) {
  object(type, checksum, content.size);
  op(Op::OpenSpliceClose);
  number(content.size);
  number(payload_.size());
  payload_.append(content.data, content.size);
}

void PartBuilder::file(const Checksum &checksum, const FileMeta &meta, View content) {
  object(OSTREE_OBJECT_TYPE_FILE, checksum, meta.size);
  op(Op::OpenSpliceClose);
  mode_and_xattrs(meta);
  number(content.size);
  number(payload_.size());
  payload_.append(content.data, content.size);
}

void PartBuilder::symlink(const Checksum &checksum, const FileMeta &meta) {
  file(checksum, meta, View(reinterpret_cast<const uint8_t *>(meta.target.data()), meta.target.size()));
}

void PartBuilder::open(const Checksum &checksum, const FileMeta &meta) {
  object(OSTREE_OBJECT_TYPE_FILE, checksum, meta.size);
  op(Op::Open);
  mode_and_xattrs(meta);
  number(meta.size);
}

void PartBuilder::begin_patched(const Checksum &source) {
  op(Op::SetReadSource);
  number(payload_.size());
  payload_.append(source.bytes.data(), source.bytes.size());
}

void PartBuilder::end_patched(uint64_t start) {
  op(Op::Bspatch);
  number(start);
  number(payload_.size() - start);
  op(Op::Close);
}

void PartBuilder::copied(const Checksum &checksum, const FileMeta &meta, const Checksum &source,
                         const std::vector<CopyRange> &ranges, View content) {
  uint64_t source_offset = payload_.size();
  payload_.append(source.bytes.data(), source.bytes.size());
  open(checksum, meta);
  bool reading_source = false;
  for (const CopyRange &range : ranges) {
    if (range.from_source && !reading_source) {
      op(Op::SetReadSource);
      number(source_offset);
    } else if (!range.from_source && reading_source) {
      op(Op::UnsetReadSource);
    }
    reading_source = range.from_source;
    op(Op::Write);
    number(range.size);
    number(range.from_source ? range.offset : payload_.size());
    if (!range.from_source)
      payload_.append(content.data + range.offset, range.size);
  }
  op(Op::Close);
}

Stored PartBuilder::store(Content kind, View bytes) {
  uint64_t begin = stretches_.empty() ? 0 : stretches_.back().end;
  if (stretches_.empty() || stretches_.back().kind != kind)
    stretches_.push_back({kind, begin});
  else if (stretches_.size() > 1)
    begin = stretches_[stretches_.size() - 2].end;
  else
    begin = 0;
  // Sections are aligned in programs, too, and their numbers are best predicted by their places.
  static constexpr uint8_t ZEROS[ALIGNMENT] = {};
  uint64_t misplaced = (payload_.size() - begin) % ALIGNMENT;
  if (misplaced != 0)
    payload_.append(ZEROS, ALIGNMENT - misplaced);
  uint64_t start = payload_.size();
  payload_.append(bytes.data, bytes.size);
  stretches_.back().end = payload_.size();
  return {start, bytes.size};
}

void PartBuilder::assembled(const Checksum &checksum, const FileMeta &meta,
                            const std::vector<Stored> &pieces) {
  open(checksum, meta);
  for (const Stored &piece : pieces) {
    op(Op::Write);
    number(piece.size);
    number(piece.offset);
  }
  op(Op::Close);
}

Rope PartBuilder::finish() {
  // Stock ostree gets a null pointer for a payload of no bytes and refuses to write even an empty file from
  // it.
  if (payload_.size() == 0)
    payload_.append("", 1);
  Bytes head;
  for (const auto &mode : modes_) {
    for (uint32_t value : mode) {
      uint32_t big_endian = GUINT32_TO_BE(value);
      append(head, &big_endian, sizeof big_endian);
    }
  }
  uint64_t modes_end = head.size();
  // `aa(ayay)`: elements without padding, then the end of each.
  Bytes table;
  std::vector<uint64_t> ends;
  for (const Bytes &xattrs : xattrs_) {
    append(table, xattrs.data(), xattrs.size());
    ends.push_back(table.size());
  }
  if (!ends.empty()) {
    unsigned width = offset_size_for(table.size(), ends.size());
    for (uint64_t end : ends)
      append_offset(table, end, width);
  }
  append(head, table.data(), table.size());
  uint64_t xattrs_end = head.size();
  uint64_t payload_end = xattrs_end + payload_.size();

  Bytes tail = std::move(ops_);
  unsigned width = offset_size_for(payload_end + tail.size(), 3);
  append_offset(tail, payload_end, width);
  append_offset(tail, xattrs_end, width);
  append_offset(tail, modes_end, width);

  return Rope{std::move(head), payload_.finish(), std::move(tail)};
}

} // namespace trees::delta
