#include "encode.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "content_choice.h"
#include "plan.h"
#include "superblock.h"

namespace trees::delta {

namespace {

constexpr uint64_t PART_SIZE = 32 << 20;
// Payloads above this are built in an unlinked file.
constexpr size_t MEMORY_LIMIT = 40 << 20;
// Indexes of all comparisons together.
constexpr uint64_t COMPARE_MEMORY = 384 << 20;
// A metadata part up to this size goes into the tail, so that one fetch of the tail shows the whole tree.
constexpr uint64_t MAX_TAIL_PART = 16 << 20;
constexpr int FAST_LEVEL = 19;
constexpr int QUICK_LEVEL = 6;
// Patches are mostly zeros: a better search costs little there.
constexpr int QUICK_PATCH_LEVEL = 10;
// Parts of patches that the fast encoding stores as xz: bytes unpacked, and bytes by a quick trial.
constexpr uint64_t MAX_XZ_PART = 32 << 20;
constexpr uint64_t MAX_XZ_TRIAL = 3 << 20;
// The outer frames of parts that are compressed already.
constexpr int STORED_LEVEL = 1;
// Below this there are too few parts to keep several cores busy, so that threads share them.
constexpr uint64_t FEW_PARTS = 48 << 20;
// Of xz, what one thread takes of a part: all of it, of a part shared by threads, and of a part of patches.
constexpr uint64_t WHOLE_BLOCK = UINT64_MAX;
constexpr uint64_t SHARED_BLOCK = 12 << 20;
constexpr uint64_t PATCH_BLOCK = 6 << 20;
// Larger patches take too long for the search that suits them best.
constexpr uint64_t MAX_BEST_PATCHES = 24 << 20;

void prepend_byte(Rope &rope, uint8_t byte) {
  rope.head.insert(rope.head.begin(), byte);
}

class Encoder {
public:
  Encoder(const EncodeOptions &options, Job &job)
      : options_(options), job_(job), repo_(Repo::open(options.repository, job.cancellable.get())),
        crew_(threads(options)) {}

  BundleStats run() {
    BundleSpec spec{options_.from,
                    options_.to,
                    repo_.load(OSTREE_OBJECT_TYPE_COMMIT, options_.to),
                    repo_.detached(options_.to),
                    options_.small ? "small" : "fast",
                    level()};
    if (options_.from && !repo_.has(OSTREE_OBJECT_TYPE_COMMIT, *options_.from))
      throw Failure("STORE_CORRUPT", "commit " + options_.from->hex() + " is not in " + options_.repository);
    plan_ = make_plan(repo_, options_.from, options_.to, {PART_SIZE, effort(), budget_, crew_}, job_);
    job_.total = plan_.bytes;
    BundleWriter writer(options_.fd, spec);
    encode_parts(writer);
    return writer.finish(job_);
  }

private:
  static unsigned threads(const EncodeOptions &options) {
    return options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  }
  int level() const {
    return options_.level != 0 ? options_.level : options_.quick ? QUICK_LEVEL : FAST_LEVEL;
  }
  CompareEffort effort() const {
    return options_.quick   ? CompareEffort::Quick
           : options_.small ? CompareEffort::Sorted
                            : CompareEffort::Good;
  }
  bool few_parts() const { return plan_.payload <= FEW_PARTS; }

  Rope contents(const PartPlan &part, EncodedPart &encoded) {
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
      add_content(builder, *file, repo_);
    }
    encoded.objects = builder.objects();
    encoded.unpacked = builder.unpacked_size();
    return builder.finish();
  }

  EncodedPart build(size_t index) {
    const PartPlan &part = plan_.parts[index];
    EncodedPart contained;
    Rope rope = contents(part, contained);
    uint64_t bytes = 0;
    for (const NewFile *file : part.files)
      bytes += file->meta.size;
    Meter meter(job_, rope.size(), bytes);
    Consumed consumed = [&](uint64_t count) { meter.consumed(count); };

    bool in_tail = part.kind == PartKind::Metadata && rope.size() <= MAX_TAIL_PART;
    bool xz = !in_tail && (options_.small || suits_xz(part, rope));
    if (xz) {
      Rope packed;
      packed.head = xz_stream(rope, xz_options(part, rope.size()), crew_, job_, consumed);
      rope = std::move(packed);
    }
    prepend_byte(rope, xz ? COMPRESSION_XZ : COMPRESSION_NONE);
    bool quick_patches = options_.quick && options_.level == 0 && part.kind == PartKind::Patches;
    ZstdOptions zstd{xz              ? STORED_LEVEL
                     : quick_patches ? QUICK_PATCH_LEVEL
                                     : level(),
                     !xz && few_parts(), threads(options_)};
    EncodedPart encoded =
        encode_part(std::move(rope), delta_key(options_.from, options_.to, std::to_string(index)),
                    {zstd, in_tail}, crew_, job_, xz ? Consumed() : consumed);
    meter.finish();
    encoded.objects = std::move(contained.objects);
    encoded.unpacked = contained.unpacked;
    return encoded;
  }

  // xz packs patches some 13 % better than zstd does. Where that makes a part that is quick to decode all the
  // same, the fast encoding uses it too.
  bool suits_xz(const PartPlan &part, const Rope &rope) const {
    if (part.kind != PartKind::Patches || rope.size() > MAX_XZ_PART)
      return false;
    CompressionTrial trial(job_);
    rope.each([&](View piece) { trial.append(piece); });
    return trial.finish() <= MAX_XZ_TRIAL;
  }

  XzOptions xz_options(const PartPlan &part, uint64_t size) const {
    if (part.kind == PartKind::Patches) {
      bool best = options_.small && size <= MAX_BEST_PATCHES;
      return {options_.quick ? XzEffort::Quick : best ? XzEffort::Zeros : XzEffort::Full, false, PATCH_BLOCK};
    }
    return {options_.quick ? XzEffort::Quick : XzEffort::Full, part.kind == PartKind::Programs,
            few_parts() || size > 2 * PART_SIZE ? SHARED_BLOCK : WHOLE_BLOCK};
  }

  // Parts are begun in order, and written in order by whoever finishes the one that is next.
  void encode_parts(BundleWriter &writer) {
    std::vector<std::unique_ptr<EncodedPart>> ready(plan_.parts.size());
    std::mutex mutex;
    size_t written = 0;
    crew_.each(ready.size(), [&](size_t index) {
      auto part = std::make_unique<EncodedPart>(build(index));
      std::lock_guard lock(mutex);
      ready[index] = std::move(part);
      for (; written < ready.size() && ready[written]; written++)
        writer.add(std::move(*std::exchange(ready[written], nullptr)));
    });
  }

  const EncodeOptions &options_;
  Job &job_;
  Repo repo_;
  Plan plan_;
  MemoryBudget budget_{COMPARE_MEMORY};
  Crew crew_;
};

} // namespace

BundleStats encode(const EncodeOptions &options, Job &job) {
  return Encoder(options, job).run();
}

} // namespace trees::delta
