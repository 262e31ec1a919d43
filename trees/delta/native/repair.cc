#include "repair.h"

#include "codec.h"
#include "executor.h"

namespace trees::delta {

namespace {

class RepairTransaction {
public:
  RepairTransaction(const Repo &repo, Job &job) : repo_(repo), job_(job) {
    GErrorSlot error;
    if (!ostree_repo_prepare_transaction(repo.get(), nullptr, job.cancellable.get(), &error))
      error.raise("STORE_UNUSABLE", "cannot begin a transaction in " + repo.path());
  }
  RepairTransaction(const RepairTransaction &) = delete;
  RepairTransaction &operator=(const RepairTransaction &) = delete;
  ~RepairTransaction() {
    if (!committed_)
      ostree_repo_abort_transaction(repo_.get(), nullptr, nullptr);
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

void apply_part(const OpenBundle &bundle, size_t index, const ExecuteContext &context) {
  const Superblock &block = bundle.block;
  const PartHeader &header = block.parts[index];
  const EntrySpan &span = block.entries[index];
  std::string name = "part " + std::to_string(index);
  Source::Stretch stretch = bundle.source.read(span.start, span.end - span.start, context.job);
  Entry entry = parse_entry(stretch.view());
  if (entry.key != delta_key(block.from, block.to, std::to_string(index)) || entry.type != "(yay)" ||
      entry.value.size < 1)
    corrupt(name + " is not where it should be");
  if (entry.value.size != header.size || Sha256::of(entry.value) != header.checksum)
    corrupt(name + " does not match its checksum");
  View content(entry.value.data + 1, entry.value.size - 1);
  Blob unpacked;
  switch (entry.value.data[0]) {
  case COMPRESSION_NONE:
    break;
  case COMPRESSION_XZ:
    unpacked = decode_xz(content, context.temporary, context.job);
    content = unpacked.view();
    break;
  default:
    corrupt(name + " is compressed in an unknown way");
  }
  execute_part(content, header, context);
}

void write_commit(const OpenBundle &bundle, const Repo &repo, ObjectWriter &writer, Job &job) {
  const Superblock &block = bundle.block;
  if (repo.has(OSTREE_OBJECT_TYPE_COMMIT, block.to))
    return;
  GErrorSlot error;
  if (block.detached != nullptr &&
      !ostree_repo_write_commit_detached_metadata(repo.get(), block.to.hex().c_str(), block.detached.get(),
                                                  job.cancellable.get(), &error))
    error.raise("IO", "cannot write the commit's detached metadata");
  writer.metadata(OSTREE_OBJECT_TYPE_COMMIT, block.to, View(block.commit_bytes));
}

} // namespace

ApplyStats apply_parts(const OpenBundle &bundle, const std::string &repository,
                       const std::vector<size_t> &parts, bool with_commit, Job &job) {
  for (size_t index : parts)
    job.total += bundle.block.parts.at(index).unpacked;
  Repo repo = Repo::open(repository, job.cancellable.get());
  ObjectWriter writer(repo, job);
  RepairTransaction transaction(repo, job);
  for (size_t index : parts)
    apply_part(bundle, index, {repo, writer, job, repository + "/tmp"});
  if (with_commit)
    write_commit(bundle, repo, writer, job);
  transaction.commit();
  return {writer.objects(), writer.bytes()};
}

} // namespace trees::delta
