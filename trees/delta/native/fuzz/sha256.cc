// Messages of all lengths through each kind of lanes that the CPU has, beside OpenSSL: two bytes for the
// length of each, a bit of the first for whether part of it is a head.
#include <openssl/evp.h>

#include <cstdlib>

#include "../../../native-support/sha256_lanes.h"

using namespace trees;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<HashedMessage> messages;
  for (View rest(data, size); rest.size >= 2 && messages.size() < 100;) {
    const size_t length = std::min<size_t>((rest.data[0] & 0x7f) << 8 | rest.data[1], rest.size - 2);
    const size_t head = rest.data[0] >> 7 != 0 ? std::min<size_t>(rest.data[1], length) : 0;
    messages.push_back({rest.part(2, 2 + head), rest.part(2 + head, 2 + length), {}});
    rest = rest.part(2 + length, rest.size);
  }
  for (const Lanes lanes : {Lanes::One, Lanes::Avx2, Lanes::Avx512}) {
    if (!can_use(lanes))
      continue;
    sha256_many(messages, lanes);
    for (const HashedMessage &message : messages) {
      Checksum expected;
      unsigned written = 0;
      // A head lies before its body.
      if (EVP_Digest(message.head.data, message.head.size + message.body.size, expected.bytes.data(),
                     &written, EVP_sha256(), nullptr) != 1 ||
          expected != message.checksum)
        abort();
    }
  }
  return 0;
}
