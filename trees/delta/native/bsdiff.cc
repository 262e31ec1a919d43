#include "bsdiff.h"

#include <algorithm>

#include "alignment.h"
#include "byte_scan.h"
#include "framing.h"
#include "match_index.h"

namespace trees::delta {

namespace {

// Pieces of the new file that are compared independently, whatever the number of threads.
constexpr uint64_t PIECE = 8 << 20;
// A match must beat going on with the last one by more bytes than this to be proposed.
constexpr uint64_t MIN_GAIN = 2;
// Going on with the last match for this long needs no better one.
constexpr uint64_t GOOD_ENOUGH = 32;
// Of so many bytes, so many may be wrong for the last match to be taken on without looking for a better one.
constexpr uint64_t GLANCE = 64;
static_assert(GLANCE % WORD == 0);
constexpr uint64_t TOLERANCE = 8, QUICK_TOLERANCE = 20;
// What the index of matches may take. A quick comparison looks at every eighth position of a large source,
// and at more of a small one.
constexpr uint64_t INDEX_MEMORY = 128 << 20;
constexpr uint64_t QUICK_INDEX_MEMORY = 64 << 20;
constexpr uint64_t MIN_QUICK_INDEX = 16 << 20;
// Where all but a part of the new file is the same, matches are looked for near that part only.
constexpr uint64_t SAME_SHARE = 8;
constexpr uint64_t NEAR = 1 << 20;
constexpr size_t BLOCK = 1 << 16;
constexpr uint64_t MIN_COPY = 48;
constexpr uint64_t CHECK_INTERVAL = 1 << 16;

struct Found {
  uint64_t position = 0;
  uint64_t length = 0;
};

// Percival's bsdiff for one stretch of the new file, with any way to find matches: `find(text)` gives one, at
// a position in the old file. Which byte comes from which is chosen by `align`.
template <typename Find> class Comparison {
public:
  Comparison(const Stretch &stretch, const Find &find, const CompareOptions &options)
      : old_(stretch.old), new_(stretch.fresh.data, stretch.end), start_(stretch.start), job_(options.job),
        find_(find), tolerance_(options.effort == CompareEffort::Quick ? QUICK_TOLERANCE : TOLERANCE) {}

  std::vector<Proposal> run() {
    uint64_t scan = start_, length = 0, position = 0;
    propose(start_, std::min<uint64_t>(start_, old_.size));
    while (scan < new_.size) {
      // Bytes that going on at the old offset would get right, of those that the new match covers.
      uint64_t old_score = 0;
      scan += length;
      if (goes_on(scan)) {
        length = GLANCE;
        continue;
      }
      for (uint64_t scored = scan; scan < new_.size; scan++) {
        if (++steps_ % CHECK_INTERVAL == 0)
          job_.check();
        Found match = longest(scan);
        position = match.position;
        length = match.length;
        // Going on is just that where the match is what the last one goes on with: all of it is right.
        if (static_cast<int64_t>(position) == static_cast<int64_t>(scan) + last_offset_ &&
            scored < scan + length) {
          old_score += scan + length - std::max(scored, scan);
          scored = scan + length;
        }
        for (; scored < scan + length; scored++)
          old_score += continues(scored);
        if ((length == old_score && length != 0) || length > old_score + MIN_GAIN)
          break;
        old_score -= continues(scan);
      }
      if (length != old_score && scan < new_.size)
        propose(scan, position);
    }
    return std::move(proposals_);
  }

private:
  void propose(uint64_t scan, uint64_t position) {
    last_offset_ = static_cast<int64_t>(position) - static_cast<int64_t>(scan);
    proposals_.push_back({scan, last_offset_});
  }

  Found longest(uint64_t scan) const {
    View text(new_.data + scan, new_.size - scan);
    int64_t source = static_cast<int64_t>(scan) + last_offset_;
    Found same;
    if (source >= 0 && static_cast<uint64_t>(source) < old_.size) {
      same.position = static_cast<uint64_t>(source);
      same.length = common_prefix(text, View(old_.data + source, old_.size - same.position));
      if (same.length >= GOOD_ENOUGH)
        return same;
    }
    Found other = find_(text);
    return other.length > same.length ? other : same;
  }

  // Whether the last match, prolonged, gets so many of the next bytes right that no other can be much better.
  bool goes_on(uint64_t scan) const {
    int64_t source = static_cast<int64_t>(scan) + last_offset_;
    if (source < 0 || old_.size < GLANCE || static_cast<uint64_t>(source) > old_.size - GLANCE ||
        new_.size - scan < GLANCE)
      return false;
    const uint8_t *from = old_.data + source, *to = new_.data + scan;
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < GLANCE; i += WORD)
      wrong += count_nonzero(load_word(from + i) ^ load_word(to + i));
    return wrong <= tolerance_;
  }

  // Whether the last match, prolonged, gets the new byte at `at` right.
  uint64_t continues(uint64_t at) const {
    int64_t source = static_cast<int64_t>(at) + last_offset_;
    return at < new_.size && source >= 0 && static_cast<uint64_t>(source) < old_.size &&
                   old_.data[source] == new_.data[at]
               ? 1
               : 0;
  }

  View old_;
  View new_;
  uint64_t start_;
  const Job &job_;
  const Find &find_;
  uint64_t tolerance_;
  std::vector<Proposal> proposals_;
  int64_t last_offset_ = 0;
  uint64_t steps_ = 0;
};

uint64_t common_suffix(View a, View b) {
  size_t limit = std::min(a.size, b.size), length = 0;
  while (length < limit && a.data[a.size - length - 1] == b.data[b.size - length - 1])
    length++;
  return length;
}

// Joins segments that one would do for.
void append_segment(std::vector<Segment> &segments, const Segment &segment) {
  if (!segments.empty()) {
    Segment &last = segments.back();
    if (last.fresh == 0 && last.old_start + last.similar == segment.old_start) {
      last.similar += segment.similar;
      last.fresh = segment.fresh;
      return;
    }
    if (segment.similar == 0) {
      last.fresh += segment.fresh;
      return;
    }
  }
  segments.push_back(segment);
}

template <typename Find>
void compare_pieces(const Stretch &all, const Find &find, const CompareOptions &options,
                    std::vector<Segment> &segments) {
  size_t count = std::max<uint64_t>(1, (all.end - all.start + PIECE - 1) / PIECE);
  uint64_t even = (all.end - all.start + count - 1) / count;
  std::vector<std::vector<Segment>> found(count);
  options.crew.each(count, [&](size_t i) {
    Stretch piece = all;
    piece.start = std::min(all.end, all.start + even * i);
    piece.end = std::min(all.end, piece.start + even);
    if (i > 0)
      piece.before.reset();
    if (i + 1 < count)
      piece.after.reset();
    found[i] = align(piece, Comparison<Find>(piece, find, options).run(), options.job);
  });
  for (const auto &list : found)
    for (const Segment &segment : list)
      append_segment(segments, segment);
}

// `source` is the part of the old file to look for matches in.
void search(const Stretch &stretch, View source, const CompareOptions &options,
            std::vector<Segment> &segments) {
  auto base = static_cast<uint64_t>(source.data - stretch.old.data);
  uint64_t memory = options.effort == CompareEffort::Quick
                        ? std::clamp(source.size / 2, MIN_QUICK_INDEX, QUICK_INDEX_MEMORY)
                        : INDEX_MEMORY;
  MemoryBudget::Lease lease(options.budget, MatchIndex::memory_for(source.size, memory));
  MatchIndex index(source, memory, options.crew);
  auto find = [&](View text) {
    MatchIndex::Match match = index.longest(text);
    return Found{base + match.position, match.length};
  };
  compare_pieces(stretch, find, options, segments);
}

void append_control(Bytes &out, int64_t value) {
  uint64_t magnitude = static_cast<uint64_t>(value < 0 ? -value : value);
  append_offset(out, value < 0 ? magnitude | uint64_t{1} << 63 : magnitude, 8);
}

} // namespace

MemoryBudget::Lease::Lease(MemoryBudget &budget, uint64_t bytes)
    : budget_(budget), bytes_(std::min(bytes, budget.total_)) {
  std::unique_lock lock(budget.mutex_);
  budget.freed_.wait(lock, [&] { return budget_.free_ >= bytes_; });
  budget.free_ -= bytes_;
}

MemoryBudget::Lease::~Lease() {
  {
    std::lock_guard lock(budget_.mutex_);
    budget_.free_ += bytes_;
  }
  budget_.freed_.notify_all();
}

std::vector<Segment> compare(View old, View fresh, const CompareOptions &options) {
  uint64_t same_start = common_prefix(old, fresh);
  uint64_t same_end = common_suffix(View(old.data + same_start, old.size - same_start),
                                    View(fresh.data + same_start, fresh.size - same_start));
  uint64_t start = same_start, end = fresh.size - same_end;
  std::vector<Segment> segments;
  if (start > 0)
    segments.push_back({0, 0, start, 0});
  if (start < end) {
    uint64_t from = 0, to = old.size;
    if ((end - start) * SAME_SHARE < fresh.size) {
      from = start > NEAR ? start - NEAR : 0;
      to = std::min<uint64_t>(old.size, old.size - same_end + NEAR);
    }
    std::optional<int64_t> after;
    if (same_end > 0)
      after = static_cast<int64_t>(old.size) - static_cast<int64_t>(fresh.size);
    search({old, fresh, start, end, 0, after}, View(old.data + from, to - from), options, segments);
  }
  if (same_end > 0)
    append_segment(segments, {end, old.size - same_end, same_end, 0});
  return segments;
}

void write_patch(const std::vector<Segment> &segments, View old, View fresh,
                 const std::function<void(const void *, size_t)> &emit) {
  Bytes block;
  // The reader starts at the beginning of the source.
  if (!segments.empty() && segments[0].old_start != 0) {
    append_control(block, 0);
    append_control(block, 0);
    append_control(block, static_cast<int64_t>(segments[0].old_start));
    emit(block.data(), block.size());
  }
  for (size_t i = 0; i < segments.size(); i++) {
    const Segment &segment = segments[i];
    uint64_t old_end = segment.old_start + segment.similar;
    uint64_t next = i + 1 < segments.size() ? segments[i + 1].old_start : old_end;
    block.clear();
    append_control(block, static_cast<int64_t>(segment.similar));
    append_control(block, static_cast<int64_t>(segment.fresh));
    append_control(block, static_cast<int64_t>(next) - static_cast<int64_t>(old_end));
    emit(block.data(), block.size());
    for (uint64_t at = 0; at < segment.similar; at += BLOCK) {
      block.resize(std::min<uint64_t>(BLOCK, segment.similar - at));
      const uint8_t *to = fresh.data + segment.new_start + at, *from = old.data + segment.old_start + at;
      for (size_t j = 0; j < block.size(); j++)
        block[j] = static_cast<uint8_t>(to[j] - from[j]);
      emit(block.data(), block.size());
    }
    emit(fresh.data + segment.new_start + segment.similar, segment.fresh);
  }
}

std::vector<CopyRange> copy_ranges(const std::vector<Segment> &segments, View old, View fresh) {
  std::vector<CopyRange> ranges;
  auto literal = [&](uint64_t start, uint64_t size) {
    if (size == 0)
      return;
    if (!ranges.empty() && !ranges.back().from_source && ranges.back().offset + ranges.back().size == start)
      ranges.back().size += size;
    else
      ranges.push_back({false, start, size});
  };
  for (const Segment &segment : segments) {
    uint64_t done = 0;
    for (uint64_t at = 0; at < segment.similar;) {
      uint64_t left = segment.similar - at;
      uint64_t equal = common_prefix(View(fresh.data + segment.new_start + at, left),
                                     View(old.data + segment.old_start + at, left));
      if (equal >= MIN_COPY) {
        literal(segment.new_start + done, at - done);
        ranges.push_back({true, segment.old_start + at, equal});
        done = at + equal;
      }
      at += equal + 1;
    }
    literal(segment.new_start + done, segment.similar + segment.fresh - done);
  }
  return ranges;
}

} // namespace trees::delta
