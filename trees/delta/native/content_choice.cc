#include "content_choice.h"

#include <algorithm>

#include "codec.h"

namespace trees::delta {

namespace {

// Fast enough to try everything, and it ranks the alternatives as the final compression does.
constexpr int TRIAL_LEVEL = 3;
constexpr uint64_t CHECKSUM_SIZE = 32;
// What the operation for one range takes, compressed.
constexpr uint64_t RANGE_COST = 5;
constexpr size_t MEMORY_LIMIT = 32 << 20;

Blob copy_of(View bytes, const std::string &temporary) {
  SpillBuffer buffer(temporary, MEMORY_LIMIT);
  buffer.append(bytes.data, bytes.size);
  return buffer.finish();
}

uint64_t compressed_size(Rope &rope, const Job &job) {
  return zstd_frame(rope, 0, rope.size(), TRIAL_LEVEL, job).size();
}

uint64_t compressed_size(Blob blob, const Job &job) {
  Rope rope;
  rope.body = std::move(blob);
  return compressed_size(rope, job);
}

uint64_t literal_size(const std::vector<CopyRange> &ranges) {
  uint64_t size = 0;
  for (const CopyRange &range : ranges)
    if (!range.from_source)
      size += range.size;
  return size;
}

Blob literals(const std::vector<CopyRange> &ranges, View content, const std::string &temporary) {
  SpillBuffer buffer(temporary, MEMORY_LIMIT);
  for (const CopyRange &range : ranges)
    if (!range.from_source)
      buffer.append(content.data + range.offset, range.size);
  return buffer.finish();
}

} // namespace

void add_content(PartBuilder &builder, const NewFile &file, const ContentOptions &options) {
  Blob content = options.repo.content(file.checksum);
  if (!file.source || std::max(file.meta.size, file.source_size) > options.max_compared)
    return builder.file(file.checksum, file.meta, content.view());

  Blob old = options.repo.content(*file.source);
  std::vector<Segment> segments = compare(old, content, options.budget, options.job);
  std::vector<CopyRange> ranges = copy_ranges(segments, old.view(), content.view());
  // Nothing beats copying all of it: only the mode, the owner or the attributes differ.
  if (literal_size(ranges) == 0)
    return builder.copied(file.checksum, file.meta, *file.source, ranges, content.view());

  SpillBuffer buffer(options.temporary, MEMORY_LIMIT);
  write_patch(segments, old.view(), content.view(),
              [&](const void *data, size_t size) { buffer.append(data, size); });
  Rope patch;
  patch.body = buffer.finish();
  uint64_t whole_cost = compressed_size(copy_of(content.view(), options.temporary), options.job);
  uint64_t patch_cost = compressed_size(patch, options.job) + CHECKSUM_SIZE;
  uint64_t ranges_cost = compressed_size(literals(ranges, content.view(), options.temporary), options.job) +
                         ranges.size() * RANGE_COST + CHECKSUM_SIZE;
  if (whole_cost <= std::min(patch_cost, ranges_cost))
    return builder.file(file.checksum, file.meta, content.view());
  if (ranges_cost <= patch_cost)
    return builder.copied(file.checksum, file.meta, *file.source, ranges, content.view());
  builder.patched(file.checksum, file.meta, *file.source,
                  [&](auto emit) { patch.each([&](View piece) { emit(piece.data, piece.size); }); });
}

} // namespace trees::delta
