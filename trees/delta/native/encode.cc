#include "encode.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "byte_scan.h"
#include "content_choice.h"
#include "plan.h"
#include "program_layout.h"
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
constexpr int FAST_LEVEL = 18;
constexpr int QUICK_LEVEL = 4;
// Patches are mostly zeros: a better search costs little there.
constexpr int QUICK_PATCH_LEVEL = 10;
// Parts of patches that the fast encoding stores as xz: bytes unpacked, and by a quick trial so many bytes,
// or such a share of them.
constexpr uint64_t MAX_XZ_PART = 256 << 20;
constexpr uint64_t MAX_XZ_TRIAL = 3 << 20;
constexpr uint64_t XZ_SHARE = 12;
// The outer frames of parts that are compressed already.
constexpr int STORED_LEVEL = 1;
// Of xz, what one thread takes of a part, and of a part of patches.
constexpr uint64_t MAX_BLOCK = 12 << 20;
constexpr uint64_t PATCH_BLOCK = 6 << 20;
constexpr uint64_t MAX_PATCH_BLOCK = 16 << 20;
constexpr uint64_t PATCH_BLOCKS = 8;
// Where at most such a share of the bytes is not zero, the encoder for patches is used.
constexpr uint64_t SPARSE_SHARE = 3;
// liblzma is quicker than it, where there is little to do.
constexpr uint64_t MAX_QUICK_LZMA = 32 << 20;
constexpr XzModel PATCHES{XzFilter::None, 0, 4, 0, 1};
// Parts of programs up to this are filtered in memory when they are applied.
constexpr uint64_t MAX_FILTERED_PART = 40 << 20;

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
  CompareEffort effort() const { return options_.quick ? CompareEffort::Quick : CompareEffort::Good; }

  struct Contents {
    Rope rope;
    uint64_t payload; // where it starts
    std::vector<PayloadStretch> stretches;
    std::vector<PartObject> objects;
    uint64_t unpacked;
  };

  Contents contents(const PartPlan &part) {
    PartBuilder builder(options_.temporary, MEMORY_LIMIT);
    for (const PartObject &object : part.metadata) {
      VariantPtr variant = repo_.load(object.type, object.checksum);
      builder.metadata(object.type, object.checksum,
                       View(static_cast<const uint8_t *>(g_variant_get_data(variant.get())),
                            g_variant_get_size(variant.get())));
    }
    for (const NewFile *file : part.symlinks)
      builder.symlink(file->checksum, file->meta);
    if (part.kind == PartKind::Programs)
      add_programs(builder, part.files, repo_, job_);
    else
      for (const NewFile *file : part.files) {
        job_.check();
        add_content(builder, *file, repo_);
      }
    Contents made{{}, 0, builder.stretches(), builder.objects(), builder.unpacked_size()};
    made.rope = builder.finish();
    made.payload = made.rope.head.size();
    return made;
  }

  EncodedPart build(size_t index) {
    const PartPlan &part = plan_.parts[index];
    Contents contained = contents(part);
    Rope &rope = contained.rope;
    uint64_t size = rope.size(), bytes = 0;
    for (const NewFile *file : part.files)
      bytes += file->meta.size;
    std::vector<uint64_t> cuts = frame_cuts(contained.stretches, contained.payload, size);
    Meter meter(job_, size, bytes);
    Consumed consumed = [&](uint64_t count) { meter.consumed(count); };

    bool in_tail = part.kind == PartKind::Metadata && size <= MAX_TAIL_PART;
    std::vector<XzBlock> blocks;
    if (!in_tail)
      blocks = xz_blocks(part, contained);
    bool xz = !blocks.empty(), stored = xz && blocks.front().effort == XzEffort::Stored;
    if (xz) {
      Rope packed;
      packed.head = xz_stream(rope, blocks, crew_, job_, stored ? Consumed() : consumed);
      rope = std::move(packed);
    }
    prepend_byte(rope, xz ? COMPRESSION_XZ : COMPRESSION_NONE);
    bool packed = xz && !stored;
    // What holds stored blocks is longer by their headers, all over.
    for (uint64_t &cut : cuts)
      cut = static_cast<uint64_t>(static_cast<double>(cut) / static_cast<double>(size) *
                                  static_cast<double>(rope.size()));
    bool quick_patches = options_.quick && options_.level == 0 && part.kind == PartKind::Patches;
    int zstd = packed ? STORED_LEVEL : quick_patches ? QUICK_PATCH_LEVEL : level();
    EncodedPart encoded =
        encode_part(std::move(rope), delta_key(options_.from, options_.to, std::to_string(index)),
                    {zstd, in_tail, std::move(cuts)}, crew_, job_, packed ? Consumed() : consumed);
    meter.finish();
    encoded.objects = std::move(contained.objects);
    encoded.unpacked = contained.unpacked;
    return encoded;
  }

  // xz packs patches some 15 % better than zstd does, and faster. Where that makes a part that is quick to
  // decode all the same, the fast encoding uses it too.
  static bool suits_xz(const PartPlan &part, uint64_t size) {
    uint64_t packed = 0;
    for (const NewFile *file : part.files)
      packed += file->packed;
    return size <= MAX_XZ_PART && packed <= std::max(MAX_XZ_TRIAL, size / XZ_SHARE);
  }

  // Patches are, but not what is left of files that are copied from others.
  static bool is_sparse(const Rope &rope) {
    uint64_t others = 0;
    rope.each([&](View piece) { others += count_nonzero(piece); });
    return others <= rope.size() / SPARSE_SHARE;
  }

  // How a part is made an xz stream; empty: it is none.
  std::vector<XzBlock> xz_blocks(const PartPlan &part, const Contents &made) const {
    uint64_t size = made.rope.size();
    std::vector<XzBlock> blocks;
    if (part.kind == PartKind::Patches) {
      if (!options_.small && !suits_xz(part, size))
        return {};
      bool sparse = is_sparse(made.rope) && (!options_.quick || size > MAX_QUICK_LZMA);
      append_even_blocks(blocks, size, std::clamp(size / PATCH_BLOCKS + 1, PATCH_BLOCK, MAX_PATCH_BLOCK),
                         options_.quick   ? (sparse ? XzEffort::QuickPatches : XzEffort::Quick)
                         : !sparse        ? XzEffort::Full
                         : options_.small ? XzEffort::BestPatches
                                          : XzEffort::Patches,
                         sparse ? PATCHES : XzModel{});
      return blocks;
    }
    bool stored = !options_.small;
    if (stored && size > MAX_FILTERED_PART)
      return {};
    std::vector<ModelStretch> stretches = model_stretches(made.stretches, made.payload, size, stored);
    if (stored && stretches.size() == 1)
      return {};
    for (const ModelStretch &stretch : stretches)
      append_even_blocks(blocks, stretch.size, stored ? stretch.size : MAX_BLOCK,
                         stored           ? XzEffort::Stored
                         : options_.quick ? XzEffort::Quick
                                          : XzEffort::Full,
                         stretch.model);
    return blocks;
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
