#include "similar.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace trees::delta {

namespace {

// Below this a file costs about as much as naming its source.
constexpr uint64_t MIN_SIZE = 128;
// Pieces of content are cut where a rolling hash says so, so that insertions move no other cut.
constexpr uint64_t CUT_MASK = (1 << 9) - 1;
constexpr size_t MAX_PIECE = 1 << 13;
// A sketch is the smallest hashes of the pieces: the share in common estimates how similar two files are.
constexpr size_t SKETCH_SIZE = 24;
// A hash that this many files share says nothing (licences, runs of zeros).
constexpr size_t COMMON = 64;
constexpr size_t MAX_SAME_NAME = 32;
// In thousandths: a file at the same path that is so similar needs no better source.
constexpr unsigned ALIKE = 500;
// Where time counts more than bytes, a file of this size is believed to be a version of what was at its path.
constexpr uint64_t BELIEVED = 256 << 10;
// There, smaller files are not looked for by their content, and others only among those of about their size.
constexpr uint64_t SOUGHT = 16 << 10;
// There, in thousandths: a file from another path is not worth comparing if it has less in common.
constexpr unsigned PROMISING = 100;

using Sketch = std::vector<uint64_t>;

struct OldFile {
  const TreeFile *file;
  uint64_t size;
  bool regular;
  Sketch sketch;
};

uint64_t mix(uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdULL;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53ULL;
  return value ^ value >> 33;
}

const std::array<uint64_t, 256> &gear() {
  static const std::array<uint64_t, 256> table = [] {
    std::array<uint64_t, 256> values{};
    for (size_t i = 0; i < values.size(); i++)
      values[i] = mix(i + 1);
    return values;
  }();
  return table;
}

// The smallest different hashes, in order.
void insert(Sketch &sketch, uint64_t hash) {
  if (sketch.size() == SKETCH_SIZE && hash >= sketch.back())
    return;
  auto place = std::lower_bound(sketch.begin(), sketch.end(), hash);
  if (place != sketch.end() && *place == hash)
    return;
  if (sketch.size() == SKETCH_SIZE) {
    // The largest makes room; what is before it stays where it is.
    std::move_backward(place, sketch.end() - 1, sketch.end());
    *place = hash;
  } else {
    sketch.insert(place, hash);
  }
}

// A piece is known by the bytes before its end that the rolling hash depends on, which are the last 64.
Sketch sketch_of(View content) {
  const std::array<uint64_t, 256> &table = gear();
  Sketch sketch;
  sketch.reserve(SKETCH_SIZE);
  uint64_t rolling = 0;
  for (size_t at = 0; at < content.size;) {
    size_t end = std::min(content.size, at + MAX_PIECE);
    // The high bits depend on all of these bytes, the low ones only on the last few.
    do
      rolling = (rolling << 1) + table[content.data[at++]];
    while (at < end && ((rolling >> 48) & CUT_MASK) != 0);
    insert(sketch, mix(rolling));
  }
  return sketch;
}

// Share of the sketches in common, in thousandths.
unsigned similarity(const Sketch &a, const Sketch &b) {
  size_t shared = 0, i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (a[i] == b[j]) {
      shared++;
      i++;
      j++;
    } else if (a[i] < b[j]) {
      i++;
    } else {
      j++;
    }
  }
  size_t limit = std::max<size_t>(1, std::min(a.size(), b.size()));
  return static_cast<unsigned>(1000 * shared / limit);
}

// The file's name with every number replaced, so that versions of a library have the same.
std::string name_key(const std::string &path) {
  size_t slash = path.rfind('/');
  std::string key;
  for (size_t i = slash == std::string::npos ? 0 : slash + 1; i < path.size(); i++) {
    bool digit = path[i] >= '0' && path[i] <= '9';
    if (!digit)
      key += path[i];
    else if (key.empty() || key.back() != '#')
      key += '#';
  }
  return key;
}

class Finder {
public:
  Finder(const Repo &repo, const Tree &tree, const FindOptions &options)
      : repo_(repo), crew_(options.crew), job_(options.job), quick_(options.quick) {
    for (const TreeFile &file : tree.files)
      old_.push_back({&file, 0, false, {}});
  }

  void run(std::vector<NewFile> &files) {
    for (size_t i = 0; i < old_.size(); i++)
      by_path_.emplace(old_[i].file->path, i);
    std::vector<Search> searches;
    for (NewFile &file : files)
      if (!file.meta.symlink && file.meta.size >= MIN_SIZE)
        searches.push_back({&file, {}, false});
    // Most files that changed are much like what was at their path. Only if some are not, every old file is
    // looked at.
    crew_.each(searches.size(), [&](size_t i) { look_at_path(searches[i]); });
    if (std::all_of(searches.begin(), searches.end(), [](const Search &search) { return search.done; }))
      return;
    if (quick_)
      for (const Search &search : searches)
        if (!search.done && search.file->meta.size >= SOUGHT)
          sought_.push_back(search.file->meta.size);
    std::sort(sought_.begin(), sought_.end());
    crew_.each(old_.size(), [this](size_t i) {
      measure(old_[i]);
      if (is_sought(old_[i].size))
        add_sketch(old_[i]);
    });
    for (size_t i = 0; i < old_.size(); i++) {
      const OldFile &old = old_[i];
      if (!old.regular || old.size == 0)
        continue;
      by_name_[name_key(old.file->path)].push_back(i);
      for (uint64_t hash : old.sketch)
        by_hash_[hash].push_back(i);
    }
    crew_.each(searches.size(), [&](size_t i) {
      if (!searches[i].done)
        choose(searches[i]);
    });
  }

private:
  struct Search {
    NewFile *file;
    Sketch sketch;
    bool done;
  };

  void look_at_path(Search &search) {
    job_.check();
    auto path = by_path_.find(search.file->path);
    if (quick_ && path != by_path_.end() && believe(search, old_[path->second]))
      return;
    search.sketch = sketch_of(repo_.content(search.file->checksum).view());
    if (path == by_path_.end())
      return;
    OldFile old = old_[path->second];
    measure(old);
    add_sketch(old);
    if (!old.regular || similarity(search.sketch, old.sketch) < ALIKE)
      return;
    take(*search.file, old);
    search.done = true;
  }

  bool believe(Search &search, const OldFile &old) const {
    uint64_t size = search.file->meta.size;
    if (size < BELIEVED)
      return false;
    FileMeta meta = repo_.file_meta(old.file->checksum);
    search.done = !meta.symlink && meta.size <= 2 * size && size <= 2 * meta.size;
    if (search.done)
      take(*search.file, old);
    return search.done;
  }

  static void take(NewFile &file, const OldFile &old) { file.source = old.file->checksum; }

  void measure(OldFile &old) const {
    job_.check();
    FileMeta meta = repo_.file_meta(old.file->checksum);
    old.size = meta.size;
    old.regular = !meta.symlink;
  }

  bool is_sought(uint64_t size) const {
    if (!quick_)
      return true;
    auto next = std::lower_bound(sought_.begin(), sought_.end(), (size + 1) / 2);
    return next != sought_.end() && *next <= 2 * size;
  }

  void add_sketch(OldFile &old) const {
    if (old.regular && old.size >= MIN_SIZE)
      old.sketch = sketch_of(repo_.content(old.file->checksum).view());
  }

  void choose(const Search &search) {
    NewFile &file = *search.file;
    const Sketch &sketch = search.sketch;
    job_.check();
    std::unordered_set<size_t> candidates;
    auto path = by_path_.find(file.path);
    if (path != by_path_.end() && old_[path->second].regular && old_[path->second].size > 0)
      candidates.insert(path->second);
    auto name = by_name_.find(name_key(file.path));
    if (name != by_name_.end() && name->second.size() <= MAX_SAME_NAME)
      candidates.insert(name->second.begin(), name->second.end());
    for (uint64_t hash : sketch) {
      auto sharing = by_hash_.find(hash);
      if (sharing != by_hash_.end() && sharing->second.size() <= COMMON)
        candidates.insert(sharing->second.begin(), sharing->second.end());
    }
    const OldFile *best = nullptr;
    std::tuple<unsigned, bool, bool, uint64_t, Checksum> best_rank;
    for (size_t index : candidates) {
      const OldFile &old = old_[index];
      bool same_path = path != by_path_.end() && index == path->second;
      bool same_name = name_key(old.file->path) == name_key(file.path);
      unsigned alike = similarity(sketch, old.sketch);
      unsigned wanted = same_path ? 0 : quick_ ? PROMISING : same_name ? 0 : 1;
      if (alike < wanted)
        continue;
      uint64_t larger = std::max(old.size, file.meta.size), smaller = std::min(old.size, file.meta.size);
      // The last member only makes the choice the same every time.
      std::tuple rank{alike, same_path, same_name, 1000 * smaller / larger, old.file->checksum};
      if (best == nullptr || rank > best_rank) {
        best = &old;
        best_rank = rank;
      }
    }
    if (best != nullptr)
      take(file, *best);
  }

  const Repo &repo_;
  Crew &crew_;
  const Job &job_;
  bool quick_;
  std::vector<uint64_t> sought_; // sizes of files to look for by their content
  std::vector<OldFile> old_;
  std::unordered_map<std::string, size_t> by_path_;
  std::unordered_map<std::string, std::vector<size_t>> by_name_;
  std::unordered_map<uint64_t, std::vector<size_t>> by_hash_;
};

} // namespace

void find_sources(const Repo &repo, const Tree &old_tree, std::vector<NewFile> &files,
                  const FindOptions &options) {
  Finder(repo, old_tree, options).run(files);
}

} // namespace trees::delta
