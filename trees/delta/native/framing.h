// GVariant's serialisation of containers whose content is too large to build in memory: sizes of framing
// offsets and the offsets themselves. Format: the GVariant specification, "framing offsets".
#pragma once

#include "support.h"

namespace trees::delta {

constexpr size_t align_up(size_t offset, size_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

// Bytes of each framing offset in a finished container of `size` bytes.
unsigned offset_size(uint64_t size);
// The same for a container whose members take `body` bytes and that will get `count` offsets.
unsigned offset_size_for(uint64_t body, uint64_t count);
void append_offset(Bytes &out, uint64_t value, unsigned size);
// Reads the offset that starts at `position`; the caller has checked that it is inside.
uint64_t read_offset(const uint8_t *position, unsigned size);

inline void append(Bytes &out, const void *data, size_t size) {
  auto *bytes = static_cast<const uint8_t *>(data);
  out.insert(out.end(), bytes, bytes + size);
}
inline void pad(Bytes &out, uint64_t offset, size_t alignment) {
  out.insert(out.end(), align_up(offset, alignment) - offset, 0);
}
// Numbers in metadata objects are big-endian.
inline void append_big_endian(Bytes &out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<uint8_t>(value >> shift));
}
void append_variant(Bytes &out, GVariant *value);

// One `{sv}` of the superblock's metadata, cut so that the value may be streamed between head and tail.
struct EntryFrame {
  Bytes head; // padding, key, padding
  Bytes tail; // value's type string, framing offset
};
// `start` is the offset of the array element before padding, relative to the array.
EntryFrame entry_frame(uint64_t start, const std::string &key, const std::string &type, uint64_t value_size);

} // namespace trees::delta
