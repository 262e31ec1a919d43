#include "checksum.h"

#include "failure.h"

namespace trees {

namespace {

int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  if (digit >= 'a' && digit <= 'f')
    return digit - 'a' + 10;
  return -1;
}

} // namespace

Checksum Checksum::from_hex(std::string_view hex) {
  Checksum checksum;
  if (hex.size() != 64)
    throw Failure("INTERNAL", "a checksum must have 64 digits");
  for (size_t i = 0; i < 32; i++) {
    const int high = hex_digit(hex[2 * i]);
    const int low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0)
      throw Failure("INTERNAL", "a checksum must be lowercase hexadecimal");
    checksum.bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return checksum;
}

std::string Checksum::hex() const {
  static const char digits[] = "0123456789abcdef";
  std::string text(64, '0');
  for (size_t i = 0; i < 32; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  return text;
}

} // namespace trees
