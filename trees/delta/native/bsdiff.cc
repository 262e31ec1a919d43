#include "bsdiff.h"

#include <algorithm>

#include "framing.h"
#include "suffix_array.h"

namespace trees::delta {

namespace {

// Larger sources are compared window by window: a stretch of the new file with the stretch of the old one
// around the same relative position. The suffix array of a window takes four times its size.
constexpr uint64_t MAX_WINDOW = 96 << 20;
// The share of a window that new bytes take; the rest is slack for what moved.
constexpr uint64_t NEW_SHARE = MAX_WINDOW / 2;
// A match must beat going on with the last one by this many bytes to be worth a control triple.
constexpr uint64_t MIN_GAIN = 8;
constexpr size_t BLOCK = 1 << 16;
constexpr uint64_t MIN_COPY = 48;
constexpr uint64_t CHECK_INTERVAL = 1 << 16;
constexpr uint64_t RELEASE_INTERVAL = 16 << 20;

class Comparison {
public:
  Comparison(View old, uint64_t old_base, const Blob &fresh, uint64_t new_start, uint64_t new_end,
             const Job &job, std::vector<Segment> &segments)
      : old_(old), old_base_(old_base), whole_(fresh), new_(fresh.data(), new_end), new_start_(new_start),
        job_(job), segments_(segments), suffixes_(old) {}

  void run() {
    uint64_t scan = new_start_, length = 0, position = 0;
    last_scan_ = new_start_;
    while (scan < new_.size) {
      // Bytes that going on at the old offset would get right, of those that the new match covers.
      uint64_t old_score = 0;
      scan += length;
      for (uint64_t scored = scan; scan < new_.size; scan++) {
        housekeeping(scan);
        SuffixArray::Match match = suffixes_.longest(View(new_.data + scan, new_.size - scan));
        position = match.position;
        length = match.length;
        for (; scored < scan + length; scored++)
          old_score += continues(scored);
        if ((length == old_score && length != 0) || length > old_score + MIN_GAIN)
          break;
        old_score -= continues(scan);
      }
      if (length != old_score || scan >= new_.size)
        close_segment(std::min<uint64_t>(scan, new_.size), position);
    }
  }

private:
  // Whether the last match, prolonged, gets the new byte at `at` right.
  uint64_t continues(uint64_t at) const {
    int64_t source = static_cast<int64_t>(at) + last_offset_;
    return at < new_.size && source >= 0 && static_cast<uint64_t>(source) < old_.size &&
                   old_.data[source] == new_.data[at]
               ? 1
               : 0;
  }

  void close_segment(uint64_t scan, uint64_t position) {
    uint64_t forward = extend_forward(scan);
    uint64_t backward = scan < new_.size ? extend_backward(scan, position) : 0;
    if (last_scan_ + forward > scan - backward)
      split_overlap(scan, position, forward, backward);
    segments_.push_back(
        {last_scan_, old_base_ + last_position_, forward, scan - backward - (last_scan_ + forward)});
    last_scan_ = scan - backward;
    last_position_ = position - backward;
    last_offset_ = static_cast<int64_t>(position) - static_cast<int64_t>(scan);
  }

  // How far the last match reaches: as long as more than half of the bytes are right.
  uint64_t extend_forward(uint64_t scan) const {
    int64_t right = 0, best = 0;
    uint64_t length = 0;
    for (uint64_t i = 0; last_scan_ + i < scan && last_position_ + i < old_.size;) {
      if (old_.data[last_position_ + i] == new_.data[last_scan_ + i])
        right++;
      i++;
      int64_t score = right * 2 - static_cast<int64_t>(i);
      if (score > best) {
        best = score;
        length = i;
      }
    }
    return length;
  }

  uint64_t extend_backward(uint64_t scan, uint64_t position) const {
    int64_t right = 0, best = 0;
    uint64_t length = 0;
    for (uint64_t i = 1; scan >= last_scan_ + i && position >= i; i++) {
      if (old_.data[position - i] == new_.data[scan - i])
        right++;
      int64_t score = right * 2 - static_cast<int64_t>(i);
      if (score > best) {
        best = score;
        length = i;
      }
    }
    return length;
  }

  // Both extensions claim some bytes: gives each side what it gets right.
  void split_overlap(uint64_t scan, uint64_t position, uint64_t &forward, uint64_t &backward) const {
    uint64_t overlap = last_scan_ + forward - (scan - backward);
    int64_t score = 0, best = 0;
    uint64_t kept = 0;
    for (uint64_t i = 0; i < overlap; i++) {
      uint64_t at = scan - backward + i;
      if (new_.data[at] == old_.data[last_position_ + forward - overlap + i])
        score++;
      if (new_.data[at] == old_.data[position - backward + i])
        score--;
      if (score > best) {
        best = score;
        kept = i + 1;
      }
    }
    forward -= overlap - kept;
    backward -= kept;
  }

  void housekeeping(uint64_t scan) {
    if (++steps_ % CHECK_INTERVAL != 0)
      return;
    job_.check();
    if (last_scan_ > released_ + RELEASE_INTERVAL) {
      whole_.release_before(last_scan_);
      released_ = last_scan_;
    }
  }

  View old_;
  uint64_t old_base_;
  const Blob &whole_;
  View new_;
  uint64_t new_start_;
  const Job &job_;
  std::vector<Segment> &segments_;
  SuffixArray suffixes_;
  uint64_t last_scan_ = 0;
  uint64_t last_position_ = 0;
  int64_t last_offset_ = 0;
  uint64_t steps_ = 0;
  uint64_t released_ = 0;
};

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

std::vector<Segment> compare(const Blob &old, const Blob &fresh, MemoryBudget &budget, const Job &job) {
  std::vector<Segment> segments;
  if (old.size() <= MAX_WINDOW) {
    MemoryBudget::Lease lease(budget, old.size() * sizeof(saidx_t));
    Comparison(old.view(), 0, fresh, 0, fresh.size(), job, segments).run();
    return segments;
  }
  uint64_t windows = (fresh.size() + NEW_SHARE - 1) / NEW_SHARE;
  for (uint64_t i = 0; i < windows; i++) {
    uint64_t start = fresh.size() / windows * i;
    uint64_t end = i + 1 == windows ? fresh.size() : fresh.size() / windows * (i + 1);
    auto centre = static_cast<uint64_t>(static_cast<double>(start + (end - start) / 2) /
                                        static_cast<double>(fresh.size()) * static_cast<double>(old.size()));
    uint64_t base = centre > MAX_WINDOW / 2 ? centre - MAX_WINDOW / 2 : 0;
    base = std::min<uint64_t>(base, old.size() - MAX_WINDOW);
    MemoryBudget::Lease lease(budget, MAX_WINDOW * sizeof(saidx_t));
    Comparison(View(old.data() + base, MAX_WINDOW), base, fresh, start, end, job, segments).run();
  }
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
    for (uint64_t at = 0; at < segment.similar; at++) {
      block.push_back(
          static_cast<uint8_t>(fresh.data[segment.new_start + at] - old.data[segment.old_start + at]));
      if (block.size() >= BLOCK) {
        emit(block.data(), block.size());
        block.clear();
      }
    }
    emit(block.data(), block.size());
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
      uint64_t equal = at;
      while (equal < segment.similar &&
             fresh.data[segment.new_start + equal] == old.data[segment.old_start + equal])
        equal++;
      if (equal - at >= MIN_COPY) {
        literal(segment.new_start + done, at - done);
        ranges.push_back({true, segment.old_start + at, equal - at});
        done = equal;
      }
      at = equal + 1;
    }
    literal(segment.new_start + done, segment.similar + segment.fresh - done);
  }
  return ranges;
}

} // namespace trees::delta
