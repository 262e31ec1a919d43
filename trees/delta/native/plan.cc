#include "plan.h"

#include <algorithm>
#include <unordered_set>

#include "content_choice.h"
#include "similar.h"

namespace trees::delta {

namespace {

using ChecksumSet = std::unordered_set<Checksum, ChecksumHash>;

std::string_view base_name(const std::string &path) {
  size_t slash = path.rfind('/');
  return std::string_view(path).substr(slash == std::string::npos ? 0 : slash + 1);
}

constexpr const char *PROGRAM = "ELF";
// Bytes of a group of files that is not worth a part of its own.
constexpr uint64_t SMALL_GROUP = 64 << 10;
constexpr uint64_t SMALL_PROGRAMS = 1 << 20;
// What a file is, as far as compression is concerned: its magic number where that says something, else its
// extension.
std::string kind_of(const Repo &repo, const NewFile &file) {
  if (file.meta.size >= 4) {
    Blob content = repo.content(file.checksum);
    if (is_program(content.view()))
      return PROGRAM;
    if (content.view().text().starts_with("#!"))
      return "#!";
  }
  std::string_view name = base_name(file.path);
  size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0)
    return "";
  return std::string(name.substr(dot));
}

struct Key {
  std::string kind;
  const NewFile *file;
  auto rank() const {
    return std::tuple(std::string_view(kind), ~file->meta.size, base_name(file->path), file->checksum);
  }
};

// Files of one kind and of about the same size next to each other: measured on a Debian base, this
// compresses 2.4 % better than by directory and name.
std::vector<Key> compression_order(const Repo &repo, const std::vector<const NewFile *> &files, Crew &crew,
                                   const Job &job) {
  std::vector<Key> keys(files.size());
  crew.each(files.size(), [&](size_t i) {
    job.check();
    keys[i] = {kind_of(repo, *files[i]), files[i]};
  });
  std::sort(keys.begin(), keys.end(), [](const Key &a, const Key &b) { return a.rank() < b.rank(); });
  return keys;
}

uint64_t payload_of(const std::vector<const NewFile *> &files) {
  uint64_t total = 0;
  for (const NewFile *file : files)
    total += file->payload;
  return total;
}

// As few parts as `part_size` allows, of about the same size: then all threads are done at about the same
// time. A file above it gets a part of its own.
void add_parts(Plan &plan, PartKind kind, const std::vector<const NewFile *> &files, uint64_t part_size) {
  uint64_t total = payload_of(files), before = 0, last = UINT64_MAX;
  uint64_t count = std::max<uint64_t>(1, (total + part_size - 1) / part_size);
  for (const NewFile *file : files) {
    // By where its middle lies.
    uint64_t index = std::min(count - 1, (before + file->payload / 2) * count / std::max<uint64_t>(1, total));
    if (index != last)
      plan.parts.push_back({kind, {}, {}, {}});
    last = index;
    plan.parts.back().files.push_back(file);
    before += file->payload;
  }
}

void choose_deliveries(Plan &plan, const Repo &repo, const PlanOptions &options, const Job &job) {
  std::vector<NewFile *> files;
  for (NewFile &file : plan.files)
    if (file.source)
      files.push_back(&file);
  std::vector<uint64_t> sizes;
  for (const NewFile *file : files)
    sizes.push_back(file->meta.size);
  ChoiceOptions choice{repo, {options.effort, options.budget, options.crew, job}};
  options.crew.each_by_size(sizes, [&](size_t i) {
    job.check();
    choose_delivery(*files[i], choice);
  });
}

ChecksumSet checksum_set(const std::vector<Checksum> &checksums) {
  return {checksums.begin(), checksums.end()};
}

} // namespace

Plan make_plan(const Repo &repo, const std::optional<Checksum> &from, const Checksum &to,
               const PlanOptions &options, const Job &job) {
  Tree new_tree = repo.walk(to, job);
  Tree old_tree;
  if (from)
    old_tree = repo.walk(*from, job);
  ChecksumSet old_trees = checksum_set(old_tree.dirtrees), old_metas = checksum_set(old_tree.dirmetas),
              old_files;
  for (const TreeFile &file : old_tree.files)
    old_files.insert(file.checksum);

  Plan plan;
  for (TreeFile &file : new_tree.files)
    if (!old_files.contains(file.checksum))
      plan.files.push_back({.checksum = file.checksum, .path = std::move(file.path)});
  options.crew.each(plan.files.size(), [&](size_t i) {
    job.check();
    NewFile &file = plan.files[i];
    file.meta = repo.file_meta(file.checksum);
    file.payload = file.meta.size;
  });
  for (const NewFile &file : plan.files)
    plan.bytes += file.meta.size;

  if (from) {
    find_sources(repo, old_tree, plan.files, {options.crew, job, options.effort == CompareEffort::Quick});
    choose_deliveries(plan, repo, options, job);
  }
  std::vector<const NewFile *> regular;
  PartPlan last{PartKind::Metadata, {}, {}, {}};
  for (const NewFile &file : plan.files)
    (file.meta.symlink ? last.symlinks : regular).push_back(&file);
  std::vector<const NewFile *> patches, programs, files;
  for (const Key &key : compression_order(repo, regular, options.crew, job)) {
    bool whole = key.file->delivery == Delivery::Whole;
    (!whole ? patches : key.kind == PROGRAM ? programs : files).push_back(key.file);
  }
  if (payload_of(programs) < SMALL_PROGRAMS && !files.empty()) {
    files.insert(files.begin(), programs.begin(), programs.end());
    programs.clear();
  }
  auto place = [&](PartKind kind, const std::vector<const NewFile *> &group) {
    if (payload_of(group) <= SMALL_GROUP)
      last.files.insert(last.files.end(), group.begin(), group.end());
    else
      add_parts(plan, kind, group, options.part_size);
  };
  place(PartKind::Patches, patches);
  // Parts of programs have frames for all cores to share, so that these end at the same time.
  place(PartKind::Files, files);
  place(PartKind::Programs, programs);

  auto add_metadata = [&](OstreeObjectType type, const std::vector<Checksum> &all, const ChecksumSet &old) {
    for (const Checksum &checksum : all)
      if (!old.contains(checksum))
        last.metadata.push_back({type, checksum});
  };
  add_metadata(OSTREE_OBJECT_TYPE_DIR_TREE, new_tree.dirtrees, old_trees);
  add_metadata(OSTREE_OBJECT_TYPE_DIR_META, new_tree.dirmetas, old_metas);
  if (!last.metadata.empty() || !last.symlinks.empty() || !last.files.empty())
    plan.parts.push_back(std::move(last));
  return plan;
}

} // namespace trees::delta
