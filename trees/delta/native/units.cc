#include "units.h"

#include <algorithm>

namespace trees::delta {

namespace {

Unit unit_of(const Source &source, const EntrySpan &span) {
  const std::vector<Frame> &frames = source.frames();
  StoredRange stored = source.stored(span.start, span.end);
  Unit unit;
  unit.offset = stored.offset;
  unit.size = stored.size;
  unit.raw_offset = span.start;
  unit.raw_size = span.end - span.start;
  if (frames.empty())
    return unit;
  unit.first_frame = source.frame_at(span.start);
  size_t last = source.frame_at(span.end > span.start ? span.end - 1 : span.start);
  unit.frames = last + 1 - unit.first_frame;
  unit.raw_offset = frames[unit.first_frame].raw_offset;
  unit.raw_size = frames[last].raw_offset + frames[last].raw_size - unit.raw_offset;
  return unit;
}

void merge(Unit &into, const Unit &next) {
  into.size = std::max(into.offset + into.size, next.offset + next.size) - into.offset;
  into.raw_size =
      std::max(into.raw_offset + into.raw_size, next.raw_offset + next.raw_size) - into.raw_offset;
  into.frames = into.frames == 0 ? 0 : next.first_frame + next.frames - into.first_frame;
  into.parts.insert(into.parts.end(), next.parts.begin(), next.parts.end());
}

} // namespace

std::vector<Unit> units_of(const Source &source, const Superblock &block, const std::vector<bool> &skip) {
  const std::vector<EntrySpan> &entries = block.entries;
  std::vector<size_t> order;
  for (size_t i = 0; i < entries.size(); i++)
    if (!skip[i])
      order.push_back(i);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return entries[a].start < entries[b].start; });
  std::vector<Unit> units;
  for (size_t index : order) {
    Unit unit = unit_of(source, entries[index]);
    unit.parts.push_back(index);
    if (!units.empty() && unit.offset < units.back().offset + units.back().size)
      merge(units.back(), unit);
    else
      units.push_back(std::move(unit));
  }
  return units;
}

} // namespace trees::delta
