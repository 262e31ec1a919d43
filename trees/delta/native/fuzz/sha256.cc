// Messages of all lengths through each kind of lanes that the CPU has, beside OpenSSL: two bytes for the
// length of each, a bit of the first for whether part of it is a head; the content says how long the pieces
// of the body are.
#include <openssl/evp.h>

#include <cstdlib>
#include <deque>

#include "../../../native-support/sha256_lanes.h"

using namespace trees;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<HashedMessage> messages;
  std::deque<std::vector<View>> bodies;
  for (View rest(data, size); rest.size >= 2 && messages.size() < 100;) {
    const size_t length = std::min<size_t>((rest.data[0] & 0x7f) << 8 | rest.data[1], rest.size - 2);
    const size_t head = rest.data[0] >> 7 != 0 ? std::min<size_t>(rest.data[1], length) : 0;
    std::vector<View> &pieces = bodies.emplace_back();
    for (View body = rest.part(2 + head, 2 + length); body.size > 0;) {
      // Also empty ones.
      pieces.push_back(body.part(0, std::min<size_t>(body.data[0], body.size)));
      body = body.part(pieces.back().size, body.size);
      if (pieces.back().size == 0 && pieces.size() > length)
        pieces.push_back(body), body = View();
    }
    messages.push_back({rest.part(2, 2 + head), pieces, {}});
    rest = rest.part(2 + length, rest.size);
  }
  for (const Lanes lanes : {Lanes::One, Lanes::Avx2, Lanes::Avx512}) {
    if (!can_use(lanes))
      continue;
    sha256_many(messages, lanes);
    for (const HashedMessage &message : messages) {
      Checksum expected;
      unsigned written = 0;
      // The head lies before the body, and the pieces one after the other.
      size_t length = message.head.size;
      for (const View &piece : message.body)
        length += piece.size;
      if (EVP_Digest(message.head.data, length, expected.bytes.data(), &written, EVP_sha256(), nullptr) !=
              1 ||
          expected != message.checksum)
        abort();
    }
  }
  return 0;
}
