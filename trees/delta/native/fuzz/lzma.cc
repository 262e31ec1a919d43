// Packs data that is mostly zeros with the encoder for patches, on each of its efforts: what liblzma unpacks
// must be that data.
#include <cstdlib>

#include "../xz.h"

using namespace trees;
using namespace trees::delta;

namespace {

constexpr size_t MAX_TEXT = 1 << 20;
constexpr XzEffort EFFORTS[] = {XzEffort::QuickPatches, XzEffort::Patches, XzEffort::BestPatches};

// Pairs of bytes: how many zeros, in steps that grow, and what comes after them.
Bytes unfold(View input) {
  Bytes text;
  for (size_t at = 0; at + 1 < input.size && text.size() < MAX_TEXT; at += 2) {
    size_t zeros = input.data[at];
    text.resize(text.size() + (zeros < 192 ? zeros % 16 : (zeros - 191) * (zeros - 191)));
    text.push_back(input.data[at + 1]);
  }
  return text;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3)
    return 0;
  static Job job;
  static Crew crew(1);
  Bytes text = unfold(View(data + 1, size - 1));
  Rope rope;
  rope.head = text;
  std::vector<XzBlock> blocks;
  append_even_blocks(blocks, text.size(), text.size() / (1 + data[0] / 128) + 1, EFFORTS[data[0] % 3],
                     {XzFilter::None, 0, 4, 0, 1});
  Bytes packed = xz_stream(rope, blocks, crew, job);
  Blob unpacked = decode_xz(View(packed), text.size(), "/tmp", job);
  if (Bytes(unpacked.data(), unpacked.data() + unpacked.size()) != text)
    abort();
  return 0;
}
