#include "apply.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>

#include "codec.h"
#include "crew.h"
#include "executor.h"
#include "pipeline.h"
#include "whole.h"
#include "xz.h"

namespace trees::delta {

namespace {

// What the largest legitimate part needs for its objects: a patch of a file is as long as the file, plus
// three numbers for each stretch of it, and those are rarely shorter than a few bytes.
constexpr uint64_t MAX_GROWTH = 8;
constexpr uint64_t GROWTH_PER_OBJECT = 1024;
constexpr uint64_t GROWTH = 1 << 20;

// Commits or aborts libostree's transaction.
class Transaction {
public:
  Transaction(const Repo &repo, Job &job) : repo_(repo), job_(job) {
    GErrorSlot error;
    if (!ostree_repo_prepare_transaction(repo.get(), nullptr, job.cancellable.get(), &error))
      error.raise("STORE_UNUSABLE", "cannot begin a transaction in " + repo.path());
  }
  Transaction(const Transaction &) = delete;
  Transaction &operator=(const Transaction &) = delete;
  ~Transaction() {
    if (!committed_)
      ostree_repo_abort_transaction(repo_.get(), nullptr, nullptr);
  }
  void set_ref(const std::string &ref, const Checksum &commit) {
    ostree_repo_transaction_set_ref(repo_.get(), nullptr, ref.c_str(), commit.hex().c_str());
  }
  void commit() {
    GErrorSlot error;
    if (!ostree_repo_commit_transaction(repo_.get(), nullptr, job_.cancellable.get(), &error))
      error.raise("STORE_UNUSABLE", "cannot commit the transaction in " + repo_.path());
    committed_ = true;
  }

private:
  const Repo &repo_;
  Job &job_;
  bool committed_ = false;
};

class Applier {
public:
  Applier(OpenBundle &bundle, const ApplyOptions &options, Job &job)
      : bundle_(bundle), block_(bundle.block), options_(options), job_(job),
        repo_(Repo::open(options.repository, job.cancellable.get())),
        threads_(options.threads != 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency())),
        crew_(threads_) {}

  ApplyStats run() {
    job_.total = block_.writes;
    if (ostree_repo_get_mode(repo_.get()) == OSTREE_REPO_MODE_ARCHIVE)
      throw Failure("UNSUPPORTED", "bundles apply to bare repositories only (" + repo_.path() + ")");
    if (block_.from && !repo_.has(OSTREE_OBJECT_TYPE_COMMIT, *block_.from))
      throw Failure("STORE_CORRUPT", "its source commit " + block_.from->hex() + " is not in " + repo_.path(),
                    {{"object", block_.from->hex()}, {"type", "commit"}});
    // Holds the repository's lock against pruning from here on.
    Transaction transaction(repo_, job_);
    Stage stage(repo_);
    ObjectWriter writer(stage);
    look_for_objects(stage);
    parts(writer, stage);
    if (!options_.only || options_.only->commit)
      commit_object(stage);
    if (!options_.only && !whole_)
      check_whole(repo_, stage, block_, job_);
    // From here on there is no way back but forward: what is published is whole and verified.
    job_.check();
    publish(stage);
    if (!options_.ref.empty())
      transaction.set_ref(options_.ref, block_.to);
    transaction.commit();
    if (!options_.only)
      mark_partial(false);
    return {writer.objects(), writer.bytes()};
  }

private:
  // Which objects are to be written, and whether there is room for them.
  void look_for_objects(Stage &stage) {
    uint64_t needed = 0;
    for (size_t i = 0; i < block_.parts.size(); i++) {
      const PartHeader &header = block_.parts[i];
      job_.check();
      if (!selected(i)) {
        skip_.push_back(true);
        wanted_.emplace_back();
        continue;
      }
      std::vector<bool> wanted;
      wanted.reserve(header.objects.size());
      size_t count = 0;
      for (const PartObject &object : header.objects) {
        wanted.push_back(!repo_.has(object.type, object.checksum));
        count += wanted.back() ? 1 : 0;
      }
      skip_.push_back(count == 0);
      if (count == 0)
        job_.done += header.unpacked;
      // What a part that is there in part will write is not known.
      else if (count == header.objects.size() && __builtin_add_overflow(needed, header.unpacked, &needed))
        needed = UINT64_MAX;
      wanted_.push_back(std::move(wanted));
    }
    stage.require(needed);
  }

  bool selected(size_t index) const {
    if (!options_.only)
      return true;
    const std::vector<size_t> &parts = options_.only->parts;
    return std::find(parts.begin(), parts.end(), index) != parts.end();
  }

  // Those with names and modes; they come first, see run_pipeline().
  static bool has_metadata(const PartHeader &header) {
    return std::any_of(header.objects.begin(), header.objects.end(),
                       [](const PartObject &object) { return object.type != OSTREE_OBJECT_TYPE_FILE; });
  }

  void parts(ObjectWriter &writer, const Stage &stage) {
    for (size_t i = 0; i < block_.parts.size(); i++)
      if (!skip_[i] && has_metadata(block_.parts[i]))
        metadata_left_++;
    PipelineOptions pipeline{bundle_.source,
                             block_,
                             options_.arriving ? options_.arriving->get() : bundle_.source.fd(),
                             bundle_.arrival,
                             bundle_.sha256,
                             threads_,
                             skip_};
    run_pipeline(
        pipeline,
        [&](const PartEntry &entry) {
          part(entry, writer);
          // While the rest arrives, or others are busy with it.
          if (!options_.only && has_metadata(block_.parts[entry.index]) && --metadata_left_ == 0) {
            check_whole(repo_, stage, block_, job_);
            whole_ = true;
          }
        },
        job_);
  }

  void part(const PartEntry &read, ObjectWriter &writer) {
    size_t index = read.index;
    const PartHeader &header = block_.parts[index];
    job_.check();
    std::string name = "part " + std::to_string(index);
    Entry entry = parse_entry(read.bytes);
    if (entry.key != delta_key(block_.from, block_.to, std::to_string(index)) || entry.type != "(yay)" ||
        entry.value.size < 1)
      corrupt(name + " is not where it should be");
    if (entry.value.size != header.size)
      corrupt(name + " is not as long as its header says");
    View content(entry.value.data + 1, entry.value.size - 1);
    ExecuteContext context{repo_, writer, crew_, job_};
    switch (entry.value.data[0]) {
    case COMPRESSION_NONE:
      // The header's checksum of the part is not looked at, nor does libostree do that with inline parts: it
      // would be over the same bytes as the checksums of the objects, which are verified one by one, and the
      // frames have checksums of their own.
      return execute_part(content, read.backing, header, wanted_[index], context);
    case COMPRESSION_XZ: {
      if (read.scratch != nullptr) {
        uint8_t *stream = read.scratch + (content.data - read.bytes.data);
        if (std::optional<View> stored = unpack_stored_xz(stream, content.size))
          return execute_part(*stored, read.backing, header, wanted_[index], context);
      }
      // Damage is told from malice before the decoder sees it; the compressed bytes are few.
      if (Sha256::of(entry.value) != header.checksum)
        corrupt(name + " does not match its checksum");
      Blob unpacked = decode_xz(content, largest(header), options_.repository + "/tmp", job_);
      return execute_part(unpacked.view(), unpacked, header, wanted_[index], context);
    }
    default:
      corrupt(name + " is compressed in an unknown way");
    }
  }

  static uint64_t largest(const PartHeader &header) {
    uint64_t size = header.objects.size() * GROWTH_PER_OBJECT + GROWTH, grown;
    if (__builtin_mul_overflow(header.unpacked, MAX_GROWTH, &grown) ||
        __builtin_add_overflow(size, grown, &size))
      return UINT64_MAX;
    return size;
  }

  void commit_object(Stage &stage) {
    bool have = repo_.has(OSTREE_OBJECT_TYPE_COMMIT, block_.to);
    Bytes detached;
    if (block_.detached != nullptr && (!have || repo_.detached(block_.to) == nullptr)) {
      auto *data = static_cast<const uint8_t *>(g_variant_get_data(block_.detached.get()));
      detached.assign(data, data + g_variant_get_size(block_.detached.get()));
    }
    // Its checksum was verified when the superblock was read.
    stage.commit(block_.to, have ? View() : View(block_.commit_bytes), View(detached));
  }

  // Objects are renamed into place one after the other, the commit last. The file system may keep another
  // order across a power cut: a commit that is marked and lacks something is unfinished work then, not
  // damage.
  void publish(Stage &stage) {
    if (options_.only)
      return stage.publish();
    mark_partial(true);
    try {
      stage.publish();
    } catch (...) {
      if (!repo_.has(OSTREE_OBJECT_TYPE_COMMIT, block_.to))
        mark_partial(false);
      throw;
    }
  }

  // The mark may also be there since fsck deleted objects; after the transaction the commit is whole.
  void mark_partial(bool partial) const {
    GErrorSlot error;
    if (!ostree_repo_mark_commit_partial(repo_.get(), block_.to.hex().c_str(), partial ? TRUE : FALSE,
                                         &error))
      error.raise("STORE_UNUSABLE", "cannot mark a commit in " + repo_.path());
  }

  OpenBundle &bundle_;
  const Superblock &block_;
  const ApplyOptions &options_;
  Job &job_;
  Repo repo_;
  unsigned threads_;
  // Beside those that take the parts: what lies in the last one is for all of them.
  Crew crew_;
  // For each part: which of its objects are to be written; whether there are none.
  std::vector<std::vector<bool>> wanted_;
  std::vector<bool> skip_;
  // Parts with metadata that are still to come; whether the commit was found to be whole.
  std::atomic<size_t> metadata_left_{0};
  bool whole_ = false;
};

} // namespace

OpenBundle::OpenBundle(const std::string &path, const std::string &temporary,
                       const std::optional<Checksum> &digest, const Job &job)
    : source(path, temporary, digest.has_value(), job), block(read_superblock(source, job)), sha256(digest) {
  arrival.advance(source.file_size());
}

OpenBundle::OpenBundle(uint64_t file_size, Bytes tail, const std::string &temporary, const Checksum &digest,
                       const Job &job)
    : source(file_size, std::move(tail), temporary, job), block(read_superblock(source, job)),
      sha256(digest) {}

void check_digest(const std::string &path, const Checksum &sha256, const Job &job) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd)
    throw_errno("cannot open it");
  Sha256 hash;
  Bytes chunk(1 << 20);
  uint64_t offset = 0;
  while (size_t count = read_at(fd.get(), chunk.data(), chunk.size(), offset)) {
    job.check();
    hash.update(View(chunk.data(), count));
    offset += count;
  }
  Checksum actual = hash.finish();
  if (actual != sha256)
    corrupt("its SHA-256 is " + actual.hex() + ", not " + sha256.hex(), {{"path", path}});
}

ApplyStats apply(OpenBundle &bundle, const ApplyOptions &options, Job &job) {
  return Applier(bundle, options, job).run();
}

} // namespace trees::delta
