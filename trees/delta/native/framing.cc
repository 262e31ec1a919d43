#include "framing.h"

namespace trees::delta {

unsigned offset_size(uint64_t size) {
  if (size > UINT32_MAX)
    return 8;
  if (size > UINT16_MAX)
    return 4;
  if (size > UINT8_MAX)
    return 2;
  return size > 0 ? 1 : 0;
}

unsigned offset_size_for(uint64_t body, uint64_t count) {
  if (body + count <= UINT8_MAX)
    return 1;
  if (body + 2 * count <= UINT16_MAX)
    return 2;
  if (body + 4 * count <= UINT32_MAX)
    return 4;
  return 8;
}

void append_offset(Bytes &out, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; i++)
    out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

uint64_t read_offset(const uint8_t *position, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; i++)
    value |= static_cast<uint64_t>(position[i]) << (8 * i);
  return value;
}

void append_variant(Bytes &out, GVariant *value) {
  size_t size = g_variant_get_size(value);
  size_t start = out.size();
  out.resize(start + size);
  if (size > 0)
    g_variant_store(value, out.data() + start);
}

EntryFrame entry_frame(uint64_t start, const std::string &key, const std::string &type, uint64_t value_size) {
  EntryFrame frame;
  // Elements and variants are aligned to 8, relative to the superblock, where the array comes first.
  pad(frame.head, start, 8);
  uint64_t body = frame.head.size();
  append(frame.head, key.c_str(), key.size() + 1);
  uint64_t key_end = key.size() + 1;
  pad(frame.head, key_end, 8);
  uint64_t element = frame.head.size() - body + value_size + 1 + type.size();
  frame.tail.push_back(0);
  append(frame.tail, type.data(), type.size());
  append_offset(frame.tail, key_end, offset_size_for(element, 1));
  return frame;
}

} // namespace trees::delta
