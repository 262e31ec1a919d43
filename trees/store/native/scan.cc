#include "scan.h"

#include <algorithm>
#include <limits>

namespace trees::store {

namespace {

constexpr size_t kOpen = std::numeric_limits<size_t>::max();
// Bytes of directory objects that are kept for making the tree; the others are read a second time.
constexpr size_t kKeep = 32 * 1024 * 1024;

} // namespace

ScannedTree::ScannedTree(const Objects &objects, const Root &root, const Job &job)
    : objects_(objects), job_(job) {
  keep_meta(root.meta);
  entries_ = visit(root, 0).entries;
  summaries_.clear();
}

SharedBytes ScannedTree::directory(const Checksum &tree) const {
  const auto kept = directories_.find(tree);
  if (kept != directories_.end())
    return kept->second;
  return std::make_shared<const Bytes>(objects_.read(ObjectType::kDirTree, tree));
}

ScannedTree::Summary ScannedTree::visit(const Root &directory, size_t depth) {
  const auto [known, fresh] = summaries_.try_emplace(directory.tree, Summary{0, kOpen});
  if (!fresh) {
    const Summary &summary = known->second;
    if (summary.height == kOpen)
      refuse("a directory is inside of itself");
    if (depth + summary.height > kMaxDepth)
      refuse("directories are nested more than " + std::to_string(kMaxDepth) + " deep");
    return summary;
  }
  job_.check();
  if (depth > kMaxDepth)
    refuse("directories are nested more than " + std::to_string(kMaxDepth) + " deep");
  SharedBytes bytes = std::make_shared<const Bytes>(objects_.read(ObjectType::kDirTree, directory.tree));
  DirTree tree;
  try {
    tree = parse_dirtree(View(*bytes));
  } catch (const Malformed &error) {
    check_intact(ObjectType::kDirTree, directory.tree, *bytes);
    refuse(error.what(), error.name);
  }
  if (kept_ + bytes->size() <= kKeep) {
    kept_ += bytes->size();
    directories_.emplace(directory.tree, bytes);
  }
  Summary summary{tree.files.size() + tree.dirs.size(), 0};
  for (const DirEntry &dir : tree.dirs) {
    path_.push_back(dir.name);
    keep_meta(dir.meta);
    const Summary below = visit({dir.tree, dir.meta}, depth + 1);
    summary.entries += below.entries;
    summary.height = std::max(summary.height, below.height + 1);
    if (summary.entries > kMaxEntries)
      refuse("there are more than " + std::to_string(kMaxEntries) + " files and directories below it");
    path_.pop_back();
  }
  summaries_[directory.tree] = summary;
  return summary;
}

void ScannedTree::keep_meta(const Checksum &checksum) {
  if (metas_.contains(checksum))
    return;
  const Bytes bytes = objects_.read(ObjectType::kDirMeta, checksum);
  try {
    metas_.emplace(checksum, parse_dirmeta(View(bytes)));
  } catch (const Malformed &error) {
    check_intact(ObjectType::kDirMeta, checksum, bytes);
    refuse(error.what());
  }
}

void ScannedTree::refuse(const std::string &why, std::string_view name) const {
  std::string path = "/";
  for (const std::string_view part : path_)
    path = join_path(path, part);
  std::map<std::string, std::string> details{{"path", path}};
  if (name.empty())
    throw Failure("LAYER_INVALID", why + " (" + quoted(path) + ")", details);
  throw Failure("LAYER_INVALID", why + " (" + quoted(name) + " in " + quoted(path) + ")", details);
}

} // namespace trees::store
