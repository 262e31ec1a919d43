#include "pipeline.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <thread>

#include "codec.h"
#include "units.h"

namespace trees::delta {

namespace {

constexpr size_t CHUNK = 1 << 20;
// What is decompressed at once while more arrives.
constexpr size_t PIECE = 128 << 10;
// Memory that is kept for the next part.
constexpr size_t MAX_SPARE = 16 << 20;
// An xz decoder has a copy of what it decompresses, up to its dictionary: 32 MiB in stock deltas.
constexpr uint64_t XZ_DICTIONARY = 32 << 20;

class Pipeline {
public:
  Pipeline(const PipelineOptions &options, const UsePart &use, Job &job)
      : options_(options), source_(options.source), use_(use), job_(job),
        units_(units_of(options.source, options.block, options.skip)) {}
  Pipeline(const Pipeline &) = delete;
  Pipeline &operator=(const Pipeline &) = delete;

  void run() {
    std::vector<std::thread> workers;
    size_t count = std::min<size_t>(options_.threads, units_.size());
    try {
      for (size_t i = 0; i < count; i++)
        workers.emplace_back([this] { work(); });
      read_all();
    } catch (...) {
      fail(std::current_exception());
    }
    {
      std::lock_guard lock(mutex_);
      finished_ = true;
    }
    changed_.notify_all();
    for (std::thread &worker : workers)
      worker.join();
    if (failure_)
      std::rethrow_exception(failure_);
  }

private:
  bool in_last_frame(const Unit &unit) const {
    return unit.frames == 1 && unit.first_frame + 1 == source_.frames().size();
  }

  // ---- reading, on the calling thread ----

  void read_all() {
    try {
      read_units();
    } catch (...) {
      fail(std::current_exception());
    }
    if (options_.sha256)
      verify();
  }

  void read_units() {
    // What is in the last frame is known since the bundle was opened. That it is what the file has is
    // compared when the file's end is read.
    if (!units_.empty() && in_last_frame(units_.back())) {
      const Frame &frame = source_.frames().back();
      auto stretch = source_.read(frame.raw_offset, frame.raw_size, job_);
      push(Loaded{Charge(), &units_.back(), nullptr, Buffer(), stretch.blob});
    }
    for (const Unit &unit : units_) {
      if (stopped())
        break;
      if (in_last_frame(unit))
        continue;
      pass(unit.offset);
      unit.large() ? read_large(unit) : read_unit(unit);
    }
  }

  // The file's digest is worth knowing after a failure, too: it tells a damaged file from a bad one.
  void verify() {
    if (stopped() && !failed_as_corrupt())
      return;
    hash_pending();
    pass(source_.file_size());
    Checksum actual = hash_.finish();
    if (actual == *options_.sha256)
      return;
    std::lock_guard lock(mutex_);
    failure_ = std::make_exception_ptr(
        Failure("BUNDLE_CORRUPT", "its SHA-256 is " + actual.hex() + ", not " + options_.sha256->hex(),
                {{"path", source_.path()}}));
  }

  // Reads up to `end`, for the digest only.
  void pass(uint64_t end) {
    if (!options_.sha256) {
      position_ = end;
      return;
    }
    chunk_.resize(CHUNK);
    while (position_ < end)
      read(chunk_.data(), std::min<uint64_t>(CHUNK, end - position_));
  }

  void read(uint8_t *target, uint64_t size) {
    hash_pending();
    fetch(target, size, [&](View bytes) {
      if (options_.sha256)
        hash_.update(bytes);
    });
  }

  // The digest is what can wait: the decompressor cannot begin before it has the bytes, and is what takes
  // longest.
  void hash_pending() {
    for (const auto &compressed : std::exchange(pending_, {}))
      for (View left = compressed->bytes.view(); left.size > 0;) {
        job_.check();
        View piece = left.part(0, std::min(CHUNK, left.size));
        hash_.update(piece);
        left = left.part(piece.size, left.size);
      }
  }

  template <typename Use> void fetch(uint8_t *target, uint64_t size, Use use) {
    while (size > 0) {
      job_.check();
      uint64_t there = options_.arrival.wait(position_, job_);
      uint64_t count = std::min({size, there - position_, uint64_t{CHUNK}});
      if (read_at(options_.fd, target, count, position_) != count)
        corrupt("the file shrinks while it is read", {{"path", source_.path()}});
      View bytes(target, count);
      if (!source_.same_as_read(position_, bytes))
        corrupt("its end is not what was read before the rest", {{"path", source_.path()}});
      use(bytes);
      position_ += count;
      target += count;
      size -= count;
    }
  }

  void read_unit(const Unit &unit) {
    for (size_t i = 0; i < unit.frames; i++)
      check_frame(source_.frames()[unit.first_frame + i]);
    Loaded loaded{admit(cost(unit)), &unit, nullptr, Buffer(), nullptr};
    if (loaded.charge.empty())
      return;
    if (unit.frames == 0) {
      loaded.raw_buffer = take(unit.size);
      read(loaded.raw_buffer.data(), unit.size);
    } else if (unit.raw_size > 0 && options_.arrival.bytes() < unit.offset + unit.size) {
      // What one has to wait for anyway is decompressed as it comes; else that is better left to the workers.
      loaded.raw_buffer = take(unit.raw_size);
      read_frames(unit, loaded.raw_buffer.data());
    } else {
      auto compressed = std::make_shared<Compressed>();
      compressed->charge = loaded.charge.split(unit.size);
      compressed->bytes.resize(unit.size);
      fetch(compressed->bytes.data(), unit.size, [](View) {});
      if (options_.sha256)
        pending_.push_back(compressed);
      loaded.compressed = std::move(compressed);
    }
    push(std::move(loaded));
  }

  void read_frames(const Unit &unit, uint8_t *target) {
    chunk_.resize(CHUNK);
    for (size_t i = 0; i < unit.frames; i++) {
      const Frame &frame = source_.frames()[unit.first_frame + i];
      decoder_.begin(frame, target + (frame.raw_offset - unit.raw_offset));
      for (uint64_t left = frame.size; left > 0;) {
        uint64_t count = std::min<uint64_t>(PIECE, left);
        read(chunk_.data(), count);
        decoder_.add(View(chunk_.data(), count));
        left -= count;
      }
      decoder_.end();
    }
  }

  // More than fits into memory: decompressed piece by piece into a file.
  void read_large(const Unit &unit) {
    Charge charge = admit(BUDGET);
    if (charge.empty())
      return;
    SpillBuffer out(source_.temporary(), 0);
    FrameDecoder decoder;
    chunk_.resize(CHUNK);
    auto pieces = [&](uint64_t size, auto take_piece) {
      while (size > 0) {
        uint64_t count = std::min<uint64_t>(CHUNK, size);
        read(chunk_.data(), count);
        take_piece(View(chunk_.data(), count));
        size -= count;
      }
    };
    if (unit.frames == 0)
      pieces(unit.size, [&](View piece) { out.append(piece.data, piece.size); });
    for (size_t i = 0; i < unit.frames; i++) {
      const Frame &frame = source_.frames()[unit.first_frame + i];
      check_frame(frame);
      decoder.begin(frame);
      pieces(frame.size, [&](View piece) { decoder.add(piece, out); });
      decoder.end();
    }
    push(Loaded{std::move(charge), &unit, nullptr, Buffer(), std::make_shared<Blob>(out.finish())});
  }

  uint64_t cost(const Unit &unit) const {
    uint64_t cost = std::max<uint64_t>(1, unit.size + (unit.frames == 0 ? 0 : unit.raw_size));
    if (unit.frames != 0 && options_.block.encoding != "small")
      return cost;
    for (size_t part : unit.parts)
      cost += std::min(options_.block.parts[part].unpacked, XZ_DICTIONARY) * 2;
    return cost;
  }

  // Nothing if that is given up.
  Charge admit(uint64_t cost) {
    if (budget().admit_now(cost))
      return Charge(cost);
    // While others are busy; and it gives back what is held for nothing else.
    hash_pending();
    bool admitted = budget().admit(cost, [&] { return stopped() || job_.cancelled(); });
    return admitted ? Charge(cost) : Charge();
  }

  void push(Loaded loaded) {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(loaded));
    }
    changed_.notify_all();
  }

  // ---- decompressing and using, on the workers ----

  void work() {
    for (;;) {
      Loaded loaded;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return failure_ || finished_ || !queue_.empty(); });
        if (failure_ || queue_.empty())
          return;
        loaded = std::move(queue_.front());
        queue_.pop_front();
      }
      try {
        use(loaded);
      } catch (...) {
        fail(std::current_exception());
      }
      give(std::move(loaded.raw_buffer));
    }
  }

  void use(Loaded &loaded) {
    const Unit &unit = *loaded.unit;
    if (loaded.raw)
      return use_parts(unit, loaded.raw->view(), *loaded.raw, nullptr);
    if (!loaded.compressed)
      return use_parts(unit, loaded.raw_buffer);
    loaded.raw_buffer = take(unit.raw_size);
    uint8_t *raw = loaded.raw_buffer.data();
    const uint8_t *compressed = loaded.compressed->bytes.view().data;
    uint64_t at = 0, raw_at = 0;
    for (size_t i = 0; i < unit.frames; i++) {
      const Frame &frame = source_.frames()[unit.first_frame + i];
      decode_frame(View(compressed + at, frame.size), frame, raw + raw_at);
      at += frame.size;
      raw_at += frame.raw_size;
    }
    loaded.compressed.reset();
    use_parts(unit, loaded.raw_buffer);
  }

  void use_parts(const Unit &unit, Buffer &raw) {
    static const Blob memory;
    use_parts(unit, raw.view(), memory, raw.data());
  }

  void use_parts(const Unit &unit, View raw, const Blob &backing, uint8_t *scratch) {
    for (size_t part : unit.parts) {
      const EntrySpan &span = options_.block.entries[part];
      uint64_t at = span.start - unit.raw_offset;
      View bytes(raw.data + at, span.end - span.start);
      use_({part, bytes, backing, scratch == nullptr ? nullptr : scratch + at});
    }
  }

  // ---- shared ----

  Buffer take(size_t size) {
    Buffer buffer;
    {
      std::lock_guard lock(mutex_);
      // The smallest that is large enough, or a new one.
      auto best = spare_.end();
      for (auto it = spare_.begin(); it != spare_.end(); ++it)
        if (it->capacity() >= size && (best == spare_.end() || it->capacity() < best->capacity()))
          best = it;
      if (best != spare_.end()) {
        buffer = std::move(*best);
        spare_.erase(best);
        spare_size_ -= buffer.capacity();
      }
    }
    buffer.resize(size);
    return buffer;
  }

  void give(Buffer buffer) {
    std::lock_guard lock(mutex_);
    if (buffer.capacity() == 0 || spare_size_ + buffer.capacity() > MAX_SPARE)
      return;
    spare_size_ += buffer.capacity();
    spare_.push_back(std::move(buffer));
  }

  void fail(std::exception_ptr failure) {
    {
      std::lock_guard lock(mutex_);
      if (!failure_)
        failure_ = std::move(failure);
    }
    changed_.notify_all();
  }

  bool stopped() {
    std::lock_guard lock(mutex_);
    return failure_ != nullptr;
  }

  bool failed_as_corrupt() {
    std::lock_guard lock(mutex_);
    try {
      std::rethrow_exception(failure_);
    } catch (const Failure &failure) {
      return failure.code == "BUNDLE_CORRUPT";
    } catch (...) {
      return false;
    }
  }

  const PipelineOptions &options_;
  const Source &source_;
  const UsePart &use_;
  Job &job_;
  const std::vector<Unit> units_;

  Sha256 hash_;
  uint64_t position_ = 0;
  Buffer chunk_;
  FrameDecoder decoder_;
  // What is not in the digest yet, in the order of the file, up to `position_`.
  std::vector<std::shared_ptr<const Compressed>> pending_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Loaded> queue_;
  std::vector<Buffer> spare_;
  size_t spare_size_ = 0;
  bool finished_ = false;
  std::exception_ptr failure_;
};

} // namespace

void run_pipeline(const PipelineOptions &options, const UsePart &use, Job &job) {
  Pipeline(options, use, job).run();
}

} // namespace trees::delta
