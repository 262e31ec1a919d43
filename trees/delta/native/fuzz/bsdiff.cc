// Compares two halves of the input and applies the patch and the ranges again: the second half must come out.
#include <cstdlib>

#include "../bsdiff.h"
#include "../framing.h"

using namespace trees;
using namespace trees::delta;

namespace {

int64_t control(const Bytes &patch, size_t &at) {
  uint64_t value = read_offset(patch.data() + at, 8);
  at += 8;
  auto magnitude = static_cast<int64_t>(value & INT64_MAX);
  return value >> 63 != 0 ? -magnitude : magnitude;
}

// bspatch as libostree has it, without its checks.
Bytes apply_patch(const Bytes &patch, View old, size_t size) {
  Bytes result;
  size_t at = 0;
  int64_t position = 0;
  while (result.size() < size) {
    int64_t similar = control(patch, at), fresh = control(patch, at), seek = control(patch, at);
    for (int64_t i = 0; i < similar; i++, position++) {
      bool inside = position >= 0 && static_cast<size_t>(position) < old.size;
      result.push_back(static_cast<uint8_t>(patch.at(at++) + (inside ? old.data[position] : 0)));
    }
    for (int64_t i = 0; i < fresh; i++)
      result.push_back(patch.at(at++));
    position += seek;
  }
  if (at != patch.size())
    abort();
  return result;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  size_t split = 1 + data[0] * (size - 1) / 256;
  Blob old(Bytes(data + 1, data + split)), fresh(Bytes(data + split, data + size));
  MemoryBudget budget(1 << 30);
  Job job;
  Crew crew(1);
  // The whole space of inputs, with every way to find matches.
  auto effort = static_cast<CompareEffort>(data[0] % 2);
  std::vector<Segment> segments = compare(old.view(), fresh.view(), {effort, budget, crew, job});
  Bytes patch;
  write_patch(segments, old.view(), fresh.view(),
              [&](const void *bytes, size_t count) { append(patch, bytes, count); });
  Bytes expected(fresh.data(), fresh.data() + fresh.size());
  if (apply_patch(patch, old.view(), fresh.size()) != expected)
    abort();
  Bytes copied;
  for (const CopyRange &range : copy_ranges(segments, old.view(), fresh.view()))
    append(copied, (range.from_source ? old.data() : fresh.data()) + range.offset, range.size);
  if (copied != expected)
    abort();
  return 0;
}
