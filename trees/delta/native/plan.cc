#include "plan.h"

#include <algorithm>
#include <unordered_set>

#include "similar.h"

namespace trees::delta {

namespace {

using ChecksumSet = std::unordered_set<Checksum, ChecksumHash>;

std::string_view base_name(const std::string &path) {
  size_t slash = path.rfind('/');
  return std::string_view(path).substr(slash == std::string::npos ? 0 : slash + 1);
}

// What a file is, as far as compression is concerned: its magic number where that says something, else its
// extension.
std::string kind_of(const Repo &repo, const NewFile &file) {
  if (file.meta.size >= 4) {
    Blob content = repo.content(file.checksum);
    std::string_view text = content.view().text();
    if (text.starts_with("\177ELF"))
      return "ELF";
    if (text.starts_with("#!"))
      return "#!";
  }
  std::string_view name = base_name(file.path);
  size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0)
    return "";
  return std::string(name.substr(dot));
}

// Files of one kind and of about the same size next to each other: measured on a Debian base, this
// compresses 2.4 % better than by directory and name.
std::vector<const NewFile *> compression_order(const Repo &repo, const std::vector<const NewFile *> &files,
                                               const Job &job) {
  struct Key {
    std::string kind;
    const NewFile *file;
    auto rank() const {
      return std::tuple(std::string_view(kind), ~file->meta.size, base_name(file->path), file->checksum);
    }
  };
  std::vector<Key> keys;
  for (const NewFile *file : files) {
    job.check();
    keys.push_back({kind_of(repo, *file), file});
  }
  std::sort(keys.begin(), keys.end(), [](const Key &a, const Key &b) { return a.rank() < b.rank(); });
  std::vector<const NewFile *> sorted;
  for (const Key &key : keys)
    sorted.push_back(key.file);
  return sorted;
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
  for (TreeFile &file : new_tree.files) {
    if (old_files.contains(file.checksum))
      continue;
    job.check();
    FileMeta meta = repo.file_meta(file.checksum);
    plan.bytes += meta.size;
    plan.files.push_back({file.checksum, std::move(file.path), std::move(meta), std::nullopt, 0});
  }

  if (from)
    find_sources(repo, old_tree, plan.files, options.threads, job);

  std::vector<const NewFile *> regular, symlinks;
  for (const NewFile &file : plan.files)
    (file.meta.symlink ? symlinks : regular).push_back(&file);
  regular = compression_order(repo, regular, job);

  uint64_t filled = 0;
  for (const NewFile *file : regular) {
    if (plan.parts.empty() || filled + file->meta.size > options.part_size) {
      plan.parts.emplace_back();
      filled = 0;
    }
    plan.parts.back().files.push_back(file);
    filled += file->meta.size;
  }

  PartPlan metadata;
  for (const Checksum &dirtree : new_tree.dirtrees)
    if (!old_trees.contains(dirtree))
      metadata.metadata.push_back({OSTREE_OBJECT_TYPE_DIR_TREE, dirtree});
  for (const Checksum &dirmeta : new_tree.dirmetas)
    if (!old_metas.contains(dirmeta))
      metadata.metadata.push_back({OSTREE_OBJECT_TYPE_DIR_META, dirmeta});
  metadata.symlinks = std::move(symlinks);
  if (!metadata.metadata.empty() || !metadata.symlinks.empty())
    plan.parts.push_back(std::move(metadata));
  return plan;
}

} // namespace trees::delta
