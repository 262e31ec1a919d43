// Bytes that are owned, and bytes that are looked at.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace trees {

using Bytes = std::vector<uint8_t>;

struct View {
  const uint8_t *data = nullptr;
  size_t size = 0;

  View() = default;
  View(const uint8_t *bytes, size_t count) : data(bytes), size(count) {}
  explicit View(const Bytes &bytes) : data(bytes.data()), size(bytes.size()) {}

  const uint8_t *end() const { return data + size; }
  View part(size_t from, size_t to) const { return {data + from, to - from}; }
  std::string_view text() const { return {reinterpret_cast<const char *>(data), size}; }
};

} // namespace trees
