#include "alignment.h"

#include <algorithm>

#include "byte_scan.h"

namespace trees::delta {

namespace {

// Estimates of what the compressed patch takes, in halves of a bit: a byte that differs from the old one, a
// byte that is not compared with any, and another place in the old file.
constexpr uint64_t WRONG = 16, FRESH = 11, SWITCH = 200;
// A proposed alignment is tried from so many bytes before it was proposed, and from so many proposals.
constexpr uint64_t REACH = 4096;
constexpr size_t PROPOSALS_BEFORE = 16;
constexpr size_t MAX_WAYS = 32;
constexpr uint64_t IMPOSSIBLE = UINT64_MAX / 2;
// Forgotten choices are dropped when there are so many of them, and twice as many as are still of use.
constexpr size_t MIN_CHOICES = 1 << 12;
constexpr int32_t NONE = -1;
constexpr uint64_t CHECK_INTERVAL = 1 << 16;

// Where a proposal is tried.
struct Trial {
  uint64_t from, to;
  int64_t offset;
};

// From `at` on `offset` holds, or nothing, after what `previous` chose.
struct Choice {
  uint64_t at;
  std::optional<int64_t> offset;
  int32_t previous;
};

// The cheapest choices so far that end with an offset.
struct Way {
  std::optional<int64_t> offset;
  uint64_t cost;
  uint64_t since;
  int32_t previous;
  // This way as a choice, once another one came from it.
  int32_t choice;
  // Up to here it is kept even though going over to it now is as cheap.
  uint64_t keep;
};

// Viterbi's algorithm: the ways to get to a byte follow from those to the byte before. The first way is the
// one that compares with nothing; it costs nothing to go over to it.
class Alignment {
public:
  Alignment(const Stretch &stretch, const Job &job)
      : old_(stretch.old), new_(stretch.fresh), at_(stretch.start), end_(stretch.end), after_(stretch.after),
        job_(job) {
    ways_.push_back({std::nullopt, 0, at_, NONE, NONE, UINT64_MAX});
    if (stretch.before)
      ways_.push_back({stretch.before, 0, at_, NONE, NONE, at_});
  }

  std::vector<Segment> run(const std::vector<Trial> &trials) {
    size_t next = 0;
    find_best();
    for (uint64_t steps = 0; at_ < end_; steps++) {
      if (steps % CHECK_INTERVAL == 0)
        job_.check();
      for (; next < trials.size() && trials[next].from <= at_; next++)
        try_out(trials[next]);
      go_over();
      if (!pass_run()) {
        pass_byte();
        find_best();
      }
    }
    if (after_)
      for (Way &way : ways_)
        way.cost += way.offset == after_ ? 0 : SWITCH;
    find_best();
    return segments();
  }

private:
  void try_out(const Trial &trial) {
    for (Way &way : ways_)
      if (way.offset == trial.offset) {
        way.keep = std::max(way.keep, trial.to);
        return;
      }
    if (ways_.size() == MAX_WAYS)
      drop(costliest());
    ways_.push_back({trial.offset, IMPOSSIBLE, at_, NONE, NONE, trial.to});
  }

  void drop(size_t way) {
    if (best_ == ways_.size() - 1)
      best_ = way;
    ways_[way] = ways_.back();
    ways_.pop_back();
  }

  // Of those that compare, but for the best.
  size_t costliest() const {
    size_t found = best_ == 1 ? 2 : 1;
    for (size_t i = found + 1; i < ways_.size(); i++)
      if (i != best_ && ways_[i].cost > ways_[found].cost)
        found = i;
    return found;
  }

  void find_best() {
    best_ = 0;
    for (size_t i = 1; i < ways_.size(); i++)
      if (ways_[i].cost < ways_[best_].cost)
        best_ = i;
  }

  // Goes over from the cheapest way to others where that is cheapest, unless there is no reason to try them.
  void go_over() {
    uint64_t cheapest = ways_[best_].cost;
    for (size_t i = ways_.size(); i-- > 0;) {
      uint64_t limit = cheapest + (i == 0 ? 0 : SWITCH);
      Way &way = ways_[i];
      if (i == best_ || way.cost < limit)
        continue;
      if (way.keep > at_) {
        way.cost = limit;
        way.since = at_;
        way.previous = choice_of(best_);
        way.choice = NONE;
      } else {
        drop(i);
      }
    }
  }

  // What the offset makes of the next bytes, or none if these are not all in the old file.
  const uint8_t *source(const Way &way, uint64_t size) const {
    int64_t start = static_cast<int64_t>(at_) + *way.offset;
    if (start < 0 || old_.size < size || static_cast<uint64_t>(start) > old_.size - size)
      return nullptr;
    return old_.data + start;
  }

  // As long as the cheapest way gets all bytes right, no other gains on it.
  bool pass_run() {
    if (best_ == 0 || end_ - at_ < WORD)
      return false;
    const uint8_t *right = source(ways_[best_], WORD);
    if (right == nullptr)
      return false;
    uint64_t block = load_word(new_.data + at_), wrong = load_word(right) ^ block;
    unsigned run = wrong == 0 ? WORD : zeros_before(wrong);
    if (run == 0)
      return false;
    uint64_t mask = UINT64_MAX >> (WORD - run) * 8;
    for (size_t i = 1; i < ways_.size(); i++) {
      const uint8_t *from = source(ways_[i], WORD);
      if (from == nullptr)
        ways_[i].cost = IMPOSSIBLE;
      else
        ways_[i].cost += WRONG * count_nonzero((load_word(from) ^ block) & mask);
    }
    ways_[0].cost += FRESH * run;
    at_ += run;
    return true;
  }

  void pass_byte() {
    uint8_t byte = new_.data[at_];
    ways_[0].cost += FRESH;
    for (size_t i = 1; i < ways_.size(); i++) {
      const uint8_t *from = source(ways_[i], 1);
      if (from == nullptr)
        ways_[i].cost = IMPOSSIBLE;
      else if (*from != byte)
        ways_[i].cost += WRONG;
    }
    at_++;
  }

  int32_t choice_of(size_t index) {
    Way &way = ways_[index];
    if (way.choice == NONE) {
      if (choices_.size() >= limit_)
        forget();
      way.choice = static_cast<int32_t>(choices_.size());
      choices_.push_back({way.since, way.offset, way.previous});
    }
    return way.choice;
  }

  // Drops the choices that no way goes back to.
  void forget() {
    std::vector<int32_t> moved(choices_.size(), NONE);
    auto mark = [&](int32_t choice) {
      for (; choice != NONE && moved[static_cast<size_t>(choice)] == NONE;
           choice = choices_[static_cast<size_t>(choice)].previous)
        moved[static_cast<size_t>(choice)] = 0;
    };
    for (const Way &way : ways_) {
      mark(way.previous);
      mark(way.choice);
    }
    auto new_place = [&](int32_t choice) {
      return choice == NONE ? NONE : moved[static_cast<size_t>(choice)];
    };
    size_t kept = 0;
    for (size_t i = 0; i < choices_.size(); i++)
      if (moved[i] != NONE) {
        moved[i] = static_cast<int32_t>(kept);
        choices_[kept++] = {choices_[i].at, choices_[i].offset, new_place(choices_[i].previous)};
      }
    choices_.resize(kept);
    for (Way &way : ways_) {
      way.previous = new_place(way.previous);
      way.choice = new_place(way.choice);
    }
    limit_ = std::max(MIN_CHOICES, 2 * kept);
  }

  std::vector<Segment> segments() {
    std::vector<Choice> path;
    for (int32_t i = choice_of(best_); i != NONE; i = choices_[static_cast<size_t>(i)].previous)
      path.push_back(choices_[static_cast<size_t>(i)]);
    std::vector<Segment> found;
    uint64_t end = end_;
    for (const Choice &choice : path) {
      uint64_t size = end - choice.at;
      end = choice.at;
      if (size == 0)
        continue;
      if (choice.offset)
        found.push_back(
            {choice.at, static_cast<uint64_t>(static_cast<int64_t>(choice.at) + *choice.offset), size, 0});
      else
        found.push_back({choice.at, std::min(choice.at, old_.size), 0, size});
    }
    std::reverse(found.begin(), found.end());
    return found;
  }

  View old_, new_;
  uint64_t at_, end_;
  std::optional<int64_t> after_;
  const Job &job_;
  std::vector<Way> ways_;
  size_t best_ = 0;
  std::vector<Choice> choices_;
  size_t limit_ = MIN_CHOICES;
};

} // namespace

std::vector<Segment> align(const Stretch &stretch, const std::vector<Proposal> &proposals, const Job &job) {
  std::vector<Trial> trials;
  auto try_out = [&](const Proposal &proposal, uint64_t end) {
    uint64_t from = std::max(stretch.start, proposal.start - std::min(proposal.start, REACH));
    if (trials.size() >= PROPOSALS_BEFORE)
      from = std::max(from, trials[trials.size() - PROPOSALS_BEFORE].to);
    trials.push_back({from, end, proposal.offset});
  };
  for (size_t i = 0; i < proposals.size(); i++)
    try_out(proposals[i], i + 1 < proposals.size() ? proposals[i + 1].start : stretch.end);
  if (stretch.after)
    try_out({stretch.end, *stretch.after}, stretch.end);
  return Alignment(stretch, job).run(trials);
}

} // namespace trees::delta
