#include "support.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace trees::store {

namespace {

int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9')
    return digit - '0';
  if (digit >= 'a' && digit <= 'f')
    return digit - 'a' + 10;
  return -1;
}

} // namespace

void throw_errno(const std::string &what) {
  const int number = errno;
  const char *code = number == ENOSPC || number == EDQUOT ? "NO_SPACE" : "IO";
  char buffer[128];
  throw Failure(code, what + ": " + ::strerror_r(number, buffer, sizeof buffer));
}

void Fd::reset() {
  if (fd_ >= 0)
    ::close(fd_);
  fd_ = -1;
}

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

Checksum sha256(View bytes) {
  Checksum checksum;
  unsigned size = 0;
  if (EVP_Digest(bytes.data, bytes.size, checksum.bytes.data(), &size, EVP_sha256(), nullptr) != 1)
    throw Failure("INTERNAL", "SHA-256 is not available");
  return checksum;
}

std::string quoted(std::string_view name) {
  constexpr size_t kLongest = 120;
  std::string text = "\"";
  for (const char raw : name.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(raw);
    // Bytes of other scripts stay readable only as a whole, and a name may be cut or broken: all are shown as
    // numbers.
    if (byte < 0x20 || byte >= 0x7f || raw == '"' || raw == '\\') {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      text += escape;
    } else {
      text += raw;
    }
  }
  return text + (name.size() > kLongest ? "…\"" : "\"");
}

std::string join_path(const std::string &path, std::string_view name) {
  std::string joined = path;
  if (joined.empty() || joined.back() != '/')
    joined += '/';
  joined += name;
  return joined;
}

} // namespace trees::store
