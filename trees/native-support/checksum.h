// SHA-256 checksums, by which objects are named.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace trees {

struct Checksum {
  std::array<uint8_t, 32> bytes{};

  static Checksum from_bytes(const uint8_t *source) {
    Checksum checksum;
    std::memcpy(checksum.bytes.data(), source, 32);
    return checksum;
  }
  // Throws INTERNAL unless these are 64 lowercase digits.
  static Checksum from_hex(std::string_view hex);
  std::string hex() const;
  auto operator<=>(const Checksum &) const = default;
};

struct ChecksumHash {
  size_t operator()(const Checksum &checksum) const {
    size_t hash;
    std::memcpy(&hash, checksum.bytes.data(), sizeof hash);
    return hash;
  }
};

} // namespace trees
