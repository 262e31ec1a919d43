#include "encode.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "content_choice.h"
#include "plan.h"
#include "superblock.h"

namespace trees::delta {

namespace {

constexpr uint64_t PART_SIZE = 32 << 20;
// Payloads above this are built in an unlinked file.
constexpr size_t MEMORY_LIMIT = 40 << 20;
// Suffix arrays of all threads together.
constexpr uint64_t COMPARE_MEMORY = 400 << 20;
// With `quick`, larger files are not compared.
constexpr uint64_t QUICK_COMPARED = 16 << 20;
// A metadata part up to this size goes into the tail, so that one fetch of the tail shows the whole tree.
constexpr uint64_t MAX_TAIL_PART = 16 << 20;
constexpr int FAST_LEVEL = 19;
constexpr int QUICK_LEVEL = 6;
// Parts of patches that the fast encoding may store as xz: bytes unpacked, bytes by a quick trial, and the
// share of zstd's size in percent that they must stay below.
constexpr uint64_t MAX_XZ_PART = 32 << 20;
constexpr uint64_t MAX_XZ_TRIAL = 3 << 20;
constexpr int TRIAL_LEVEL = 3;
constexpr uint64_t WORTH_XZ = 95;
// The outer frames of parts that are compressed already.
constexpr int STORED_LEVEL = 1;

void prepend_byte(Rope &rope, uint8_t byte) {
  rope.head.insert(rope.head.begin(), byte);
}

class Encoder {
public:
  Encoder(const EncodeOptions &options, Job &job)
      : options_(options), job_(job), repo_(Repo::open(options.repository, job.cancellable.get())) {}

  BundleStats run() {
    BundleSpec spec{options_.from,
                    options_.to,
                    repo_.load(OSTREE_OBJECT_TYPE_COMMIT, options_.to),
                    repo_.detached(options_.to),
                    options_.small ? "small" : "fast",
                    level()};
    if (options_.from && !repo_.has(OSTREE_OBJECT_TYPE_COMMIT, *options_.from))
      throw Failure("STORE_CORRUPT", "commit " + options_.from->hex() + " is not in " + options_.repository);
    plan_ = make_plan(repo_, options_.from, options_.to, {PART_SIZE, threads()}, job_);
    job_.total = plan_.bytes;
    BundleWriter writer(options_.fd, spec);
    encode_parts(writer);
    return writer.finish(job_);
  }

private:
  int level() const {
    return options_.level != 0 ? options_.level : options_.quick ? QUICK_LEVEL : FAST_LEVEL;
  }

  unsigned threads() const {
    return options_.threads != 0 ? options_.threads : std::max(1U, std::thread::hardware_concurrency());
  }
  uint64_t max_compared() const { return options_.quick ? QUICK_COMPARED : UINT64_MAX; }

  EncodedPart build(size_t index) {
    const PartPlan &part = plan_.parts[index];
    PartBuilder builder(options_.temporary, MEMORY_LIMIT);
    for (const PartObject &object : part.metadata) {
      VariantPtr variant = repo_.load(object.type, object.checksum);
      builder.metadata(object.type, object.checksum,
                       View(static_cast<const uint8_t *>(g_variant_get_data(variant.get())),
                            g_variant_get_size(variant.get())));
    }
    for (const NewFile *file : part.symlinks)
      builder.symlink(file->checksum, file->meta);
    for (const NewFile *file : part.files) {
      job_.check();
      add_content(builder, *file, {repo_, options_.temporary, budget_, max_compared(), job_});
    }
    std::vector<PartObject> objects = builder.objects();
    uint64_t unpacked = builder.unpacked_size();
    Rope rope = builder.finish();

    bool last = index + 1 == plan_.parts.size();
    bool in_tail = last && part.is_metadata() && rope.size() <= MAX_TAIL_PART;
    bool compress = options_.small && !in_tail;
    if (compress)
      rope = compressed(rope);
    else if (!in_tail && !options_.quick && is_patchwork(part))
      compress = compress_patches(rope);
    prepend_byte(rope, compress ? COMPRESSION_XZ : COMPRESSION_NONE);
    EncodedPart encoded =
        encode_part(std::move(rope), delta_key(options_.from, options_.to, std::to_string(index)),
                    compress ? STORED_LEVEL : level(), in_tail, job_);
    encoded.objects = std::move(objects);
    encoded.unpacked = unpacked;
    return encoded;
  }

  static bool is_patchwork(const PartPlan &part) {
    return std::any_of(part.files.begin(), part.files.end(),
                       [](const NewFile *file) { return file->source; });
  }

  // xz packs patches some 13 % better than zstd does. Where that makes a part that is quick to decode all the
  // same, the fast encoding uses it too.
  bool compress_patches(Rope &rope) const {
    if (rope.size() > MAX_XZ_PART ||
        zstd_frame(rope, 0, rope.size(), TRIAL_LEVEL, job_).size() > MAX_XZ_TRIAL)
      return false;
    Rope packed;
    packed.head = xz_stream(rope, false, job_);
    if (packed.head.size() > zstd_frame(rope, 0, rope.size(), level(), job_).size() * WORTH_XZ / 100)
      return false;
    rope = std::move(packed);
    return true;
  }

  // The better of LZMA with and without the x86 branch filter.
  Rope compressed(const Rope &rope) const {
    Rope best;
    best.head = xz_stream(rope, false, job_);
    if (!options_.quick) {
      Bytes filtered = xz_stream(rope, true, job_);
      if (filtered.size() < best.head.size())
        best.head = std::move(filtered);
    }
    return best;
  }

  // Workers take parts in order and stay at most `window` ahead of the writer, which bounds what waits in
  // memory.
  void encode_parts(BundleWriter &writer) {
    size_t count = plan_.parts.size();
    size_t window = 2 * size_t{threads()};
    std::vector<std::unique_ptr<EncodedPart>> ready(count);
    std::mutex mutex;
    std::condition_variable changed;
    size_t next = 0, written = 0;
    std::exception_ptr failure;

    auto work = [&] {
      for (;;) {
        size_t index;
        {
          std::unique_lock lock(mutex);
          changed.wait(lock, [&] { return failure || next == count || next < written + window; });
          if (failure || next == count)
            return;
          index = next++;
        }
        try {
          auto part = std::make_unique<EncodedPart>(build(index));
          std::lock_guard lock(mutex);
          ready[index] = std::move(part);
        } catch (...) {
          std::lock_guard lock(mutex);
          if (!failure)
            failure = std::current_exception();
        }
        changed.notify_all();
      }
    };
    std::vector<std::thread> workers;
    for (size_t i = 0; i < std::min<size_t>(threads(), count); i++)
      workers.emplace_back(work);
    while (written < count) {
      std::unique_ptr<EncodedPart> part;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return failure || ready[written]; });
        if (failure)
          break;
        part = std::move(ready[written]);
      }
      try {
        uint64_t unpacked = part->unpacked;
        writer.add(std::move(*part));
        job_.done += unpacked;
        std::lock_guard lock(mutex);
        written++;
      } catch (...) {
        std::lock_guard lock(mutex);
        failure = std::current_exception();
      }
      changed.notify_all();
    }
    for (std::thread &worker : workers)
      worker.join();
    if (failure)
      std::rethrow_exception(failure);
  }

  const EncodeOptions &options_;
  Job &job_;
  Repo repo_;
  Plan plan_;
  MemoryBudget budget_{COMPARE_MEMORY};
};

} // namespace

BundleStats encode(const EncodeOptions &options, Job &job) {
  return Encoder(options, job).run();
}

} // namespace trees::delta
