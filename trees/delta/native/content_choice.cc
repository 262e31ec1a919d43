#include "content_choice.h"

#include <algorithm>

#include "codec.h"

namespace trees::delta {

namespace {

constexpr uint64_t CHECKSUM_SIZE = 32;
// What the operation for one range takes, compressed.
constexpr uint64_t RANGE_COST = 5;
// Of larger files so many pieces of this size tell how well they compress.
constexpr uint64_t SAMPLE = 64 << 10;
constexpr uint64_t SAMPLES = 16;
// Stock ostree makes a patched file in memory.
constexpr uint64_t MAX_PATCHED = 512 << 20;

uint64_t literal_size(const std::vector<CopyRange> &ranges) {
  uint64_t size = 0;
  for (const CopyRange &range : ranges)
    if (!range.from_source)
      size += range.size;
  return size;
}

uint64_t whole_cost(View content, const Job &job) {
  CompressionTrial trial(job);
  if (content.size <= 2 * SAMPLE * SAMPLES) {
    trial.append(content);
    return trial.finish();
  }
  uint64_t distance = (content.size - SAMPLE) / (SAMPLES - 1);
  for (uint64_t i = 0; i < SAMPLES; i++)
    trial.append(View(content.data + i * distance, SAMPLE));
  return static_cast<uint64_t>(static_cast<double>(trial.finish()) * static_cast<double>(content.size) /
                               static_cast<double>(SAMPLE * SAMPLES));
}

uint64_t patch_cost(const std::vector<Segment> &segments, View old, View content, const Job &job) {
  CompressionTrial trial(job);
  write_patch(segments, old, content, [&](const void *data, size_t size) {
    trial.append(View(static_cast<const uint8_t *>(data), size));
  });
  return trial.finish() + CHECKSUM_SIZE;
}

uint64_t ranges_cost(const std::vector<CopyRange> &ranges, View content, const Job &job) {
  CompressionTrial trial(job);
  for (const CopyRange &range : ranges)
    if (!range.from_source)
      trial.append(View(content.data + range.offset, range.size));
  return trial.finish() + ranges.size() * RANGE_COST + CHECKSUM_SIZE;
}

void as_ranges(NewFile &file, std::vector<CopyRange> ranges, uint64_t packed) {
  file.packed = packed;
  file.delivery = Delivery::Ranges;
  file.payload = CHECKSUM_SIZE + literal_size(ranges);
  file.ranges = std::move(ranges);
}

} // namespace

void choose_delivery(NewFile &file, const ChoiceOptions &options) {
  const Job &job = options.compare.job;
  Blob content = options.repo.content(file.checksum), old = options.repo.content(*file.source);
  std::vector<Segment> segments = compare(old.view(), content.view(), options.compare);
  std::vector<CopyRange> ranges = copy_ranges(segments, old.view(), content.view());
  // Nothing beats copying all of it: only the mode, the owner or the attributes differ.
  if (literal_size(ranges) == 0)
    return as_ranges(file, std::move(ranges), 0);
  // The longest first.
  uint64_t patching = UINT64_MAX, copying = 0, whole = 0;
  options.compare.crew.each(3, [&](size_t i) {
    if (i == 0 && file.meta.size <= MAX_PATCHED)
      patching = patch_cost(segments, old.view(), content.view(), job);
    else if (i == 1)
      copying = ranges_cost(ranges, content.view(), job);
    else if (i == 2)
      whole = whole_cost(content.view(), job);
  });
  if (whole <= std::min(patching, copying))
    return;
  if (copying <= patching)
    return as_ranges(file, std::move(ranges), copying);
  file.packed = patching;
  file.delivery = Delivery::Patch;
  file.payload = CHECKSUM_SIZE + file.meta.size;
  file.segments = std::move(segments);
}

void add_content(PartBuilder &builder, const NewFile &file, const Repo &repo) {
  Blob content = repo.content(file.checksum);
  if (file.delivery == Delivery::Whole)
    return builder.file(file.checksum, file.meta, content.view());
  if (file.delivery == Delivery::Ranges)
    return builder.copied(file.checksum, file.meta, *file.source, file.ranges, content.view());
  Blob old = repo.content(*file.source);
  builder.patched(file.checksum, file.meta, *file.source,
                  [&](auto emit) { write_patch(file.segments, old.view(), content.view(), emit); });
}

} // namespace trees::delta
