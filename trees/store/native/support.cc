#include "support.h"

#include <openssl/evp.h>

#include <cstdio>

namespace trees::store {

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
