#include "apply.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>

#include "codec.h"
#include "executor.h"

namespace trees::delta {

namespace {

// Each thread holds a part in memory.
constexpr unsigned MAX_THREADS = 4;

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
    job_.check();
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
  Applier(const OpenBundle &bundle, const ApplyOptions &options, Job &job)
      : bundle_(bundle), options_(options), job_(job),
        repo_(Repo::open(options.repository, job.cancellable.get())), writer_(repo_, job) {}

  ApplyStats run() {
    const Superblock &block = bundle_.block;
    job_.total = block.writes;
    if (ostree_repo_get_mode(repo_.get()) == OSTREE_REPO_MODE_ARCHIVE)
      throw Failure("UNSUPPORTED", "bundles apply to bare repositories only (" + repo_.path() + ")");
    if (block.from && !repo_.has(OSTREE_OBJECT_TYPE_COMMIT, *block.from))
      throw Failure("STORE_CORRUPT", "its source commit " + block.from->hex() + " is not in " + repo_.path(),
                    {{"object", block.from->hex()}, {"type", "commit"}});
    Transaction transaction(repo_, job_);
    parts();
    commit_object();
    check_complete();
    if (!options_.ref.empty())
      transaction.set_ref(options_.ref, block.to);
    transaction.commit();
    clear_partial();
    return {writer_.objects(), writer_.bytes()};
  }

private:
  void parts() {
    size_t count = bundle_.block.parts.size(), next = 0;
    unsigned threads =
        options_.threads != 0 ? options_.threads : std::max(1U, std::thread::hardware_concurrency());
    std::mutex mutex;
    std::exception_ptr failure;
    auto work = [&] {
      for (;;) {
        size_t index;
        {
          std::lock_guard lock(mutex);
          if (failure || next == count)
            return;
          index = next++;
        }
        try {
          part(index);
        } catch (...) {
          std::lock_guard lock(mutex);
          if (!failure)
            failure = std::current_exception();
        }
      }
    };
    std::vector<std::thread> workers;
    for (size_t i = 1; i < std::min<size_t>(threads, count); i++)
      workers.emplace_back(work);
    work();
    for (std::thread &worker : workers)
      worker.join();
    if (failure)
      std::rethrow_exception(failure);
  }

  bool have_all(const PartHeader &header) const {
    for (const PartObject &object : header.objects)
      if (!repo_.has(object.type, object.checksum))
        return false;
    return true;
  }

  void part(size_t index) {
    const Superblock &block = bundle_.block;
    const PartHeader &header = block.parts[index];
    job_.check();
    if (have_all(header)) {
      job_.done += header.unpacked;
      return;
    }
    const EntrySpan &span = block.entries[index];
    std::string name = "part " + std::to_string(index);
    Source::Stretch stretch = bundle_.source.read(span.start, span.end - span.start, job_);
    Entry entry = parse_entry(stretch.view());
    if (entry.key != delta_key(block.from, block.to, std::to_string(index)) || entry.type != "(yay)" ||
        entry.value.size < 1)
      corrupt(name + " is not where it should be");
    if (entry.value.size != header.size || Sha256::of(entry.value) != header.checksum)
      corrupt(name + " does not match its checksum");
    View content(entry.value.data + 1, entry.value.size - 1);
    std::string temporary = options_.repository + "/tmp";
    Blob unpacked;
    switch (entry.value.data[0]) {
    case COMPRESSION_NONE:
      break;
    case COMPRESSION_XZ:
      unpacked = decode_xz(content, temporary, job_);
      content = unpacked.view();
      break;
    default:
      corrupt(name + " is compressed in an unknown way");
    }
    execute_part(content, header, {repo_, writer_, job_, temporary});
  }

  void commit_object() {
    const Superblock &block = bundle_.block;
    if (repo_.has(OSTREE_OBJECT_TYPE_COMMIT, block.to) && repo_.detached(block.to) != nullptr)
      return;
    GErrorSlot error;
    if (block.detached != nullptr &&
        !ostree_repo_write_commit_detached_metadata(repo_.get(), block.to.hex().c_str(), block.detached.get(),
                                                    job_.cancellable.get(), &error))
      error.raise("IO", "cannot write the commit's detached metadata");
    if (!repo_.has(OSTREE_OBJECT_TYPE_COMMIT, block.to))
      writer_.metadata(OSTREE_OBJECT_TYPE_COMMIT, block.to, View(block.commit_bytes));
  }

  // A bundle may be made for another source, or leave something out: nothing incomplete gets a ref.
  void check_complete() const {
    Tree tree;
    try {
      tree = repo_.walk(bundle_.block.to, job_);
    } catch (const Failure &failure) {
      if (failure.code == "STORE_CORRUPT")
        incomplete(failure.what());
      throw;
    }
    auto check = [&](OstreeObjectType type, const Checksum &checksum) {
      if (!repo_.has(type, checksum))
        incomplete(std::string(type_name(type)) + " " + checksum.hex() + " is missing");
    };
    for (const Checksum &dirmeta : tree.dirmetas)
      check(OSTREE_OBJECT_TYPE_DIR_META, dirmeta);
    for (const TreeFile &file : tree.files)
      check(OSTREE_OBJECT_TYPE_FILE, file.checksum);
  }

  [[noreturn]] void incomplete(const std::string &why) const {
    bool full = !bundle_.block.from;
    throw Failure(full ? "BUNDLE_CORRUPT" : "STORE_CORRUPT",
                  full ? "it lacks objects of its commit: " + why : "its source commit is not whole: " + why);
  }

  // Left behind by fsck when it deletes objects; the commit is whole now.
  void clear_partial() const {
    GErrorSlot error;
    if (!ostree_repo_mark_commit_partial(repo_.get(), bundle_.block.to.hex().c_str(), FALSE, &error))
      error.raise("STORE_UNUSABLE", "cannot clear the mark of a partial commit in " + repo_.path());
  }

  const OpenBundle &bundle_;
  const ApplyOptions &options_;
  Job &job_;
  Repo repo_;
  ObjectWriter writer_;
};

} // namespace

OpenBundle::OpenBundle(const std::string &path, const std::string &temporary,
                       const std::optional<Checksum> &sha256, const Job &job)
    : source(path, temporary, sha256, job), block(read_superblock(source, job)) {}

ApplyStats apply(const OpenBundle &bundle, const ApplyOptions &options, Job &job) {
  return Applier(bundle, options, job).run();
}

} // namespace trees::delta
