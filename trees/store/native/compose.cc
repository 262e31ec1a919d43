#include "compose.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <unordered_set>

namespace trees::store {

namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

struct MergedDir;

// A directory: one that the repository has, or one that differs from every stored one read so far and is
// written once all layers are in.
struct Dir {
  Root stored;
  std::shared_ptr<MergedDir> merged;

  const Checksum &meta() const;
};

struct NamedDir {
  std::string_view name;
  Dir dir;
};

// Both lists are sorted. The names point into the objects that were read.
struct MergedDir {
  Checksum meta;
  std::vector<FileEntry> files;
  std::vector<NamedDir> dirs;
};

const Checksum &Dir::meta() const {
  return merged ? merged->meta : stored.meta;
}

// A layer's directory with the whiteouts told from the entries.
struct LayerDir {
  bool opaque = false;
  std::vector<std::string_view> removed;
  std::vector<FileEntry> files;
  std::vector<DirEntry> dirs;
};

template <typename Entry> bool has_name(const std::vector<Entry> &entries, std::string_view name) {
  const auto found =
      std::lower_bound(entries.begin(), entries.end(), name,
                       [](const Entry &entry, std::string_view key) { return entry.name < key; });
  return found != entries.end() && found->name == name;
}

[[noreturn]] void invalid(const std::string &path, const std::string &why) {
  throw Failure("LAYER_INVALID", why + " (" + quoted(path) + ")", {{"path", path}});
}

std::string_view whiteout_target(std::string_view name, const std::string &path) {
  const std::string_view target = name.substr(kWhiteout.size());
  if (target.empty() || target == "." || target == "..")
    invalid(join_path(path, name), "a whiteout hides no name");
  // `.wh..wh.*` is reserved (AUFS kept its own records there); only the opaque marker has a meaning.
  if (target.starts_with(kWhiteout))
    invalid(join_path(path, name), "a reserved whiteout name");
  return target;
}

class Composer {
public:
  Composer(const Objects &objects, Job &job) : objects_(objects), job_(job) {}

  // The upper directory over the lower one, if there is one.
  Dir apply(const Dir *lower, const Root &upper, const std::string &path, size_t depth) {
    if (depth > kMaxDepth)
      invalid(path.substr(0, 80), "directories are nested more than " + std::to_string(kMaxDepth) + " deep");
    if (lower == nullptr) {
      const auto known = intact_.find(upper.tree);
      if (known != intact_.end()) {
        count(known->second, path);
        return {upper, nullptr};
      }
    }
    const uint64_t before = entries_;
    const LayerDir layer = parse_layer(read(upper.tree, path), path);
    const bool covers = lower == nullptr || layer.opaque;
    const std::shared_ptr<const MergedDir> below =
        covers ? std::make_shared<const MergedDir>() : contents(*lower, path);
    auto merged = std::make_shared<MergedDir>();
    merged->meta = upper.meta;
    for (const FileEntry &file : below->files)
      if (!is_removed(layer, file.name) && !has_name(layer.files, file.name) &&
          !has_name(layer.dirs, file.name))
        merged->files.push_back(file);
    for (const NamedDir &dir : below->dirs)
      if (!is_removed(layer, dir.name) && !has_name(layer.files, dir.name) && !has_name(layer.dirs, dir.name))
        merged->dirs.push_back(dir);
    merged->files.insert(merged->files.end(), layer.files.begin(), layer.files.end());
    bool intact = covers && !layer.opaque && layer.removed.empty();
    for (const DirEntry &dir : layer.dirs) {
      const Dir *under = is_removed(layer, dir.name) ? nullptr : find(*below, dir.name);
      Dir over = apply(under, {dir.tree, dir.meta}, join_path(path, dir.name), depth + 1);
      intact = intact && !over.merged && over.stored.tree == dir.tree;
      merged->dirs.push_back({dir.name, std::move(over)});
    }
    // New to what is below and free of whiteouts at every level: the layer's own object is the result.
    if (intact) {
      intact_.emplace(upper.tree, entries_ - before);
      return {upper, nullptr};
    }
    const auto by_name = [](const auto &a, const auto &b) { return a.name < b.name; };
    std::sort(merged->files.begin(), merged->files.end(), by_name);
    std::sort(merged->dirs.begin(), merged->dirs.end(), by_name);
    return {{}, merged};
  }

  // Gives merged directories their objects, children first.
  Root store(const Dir &dir, Composed &result) {
    if (!dir.merged)
      return dir.stored;
    DirTree tree;
    tree.files = dir.merged->files;
    for (const NamedDir &child : dir.merged->dirs) {
      const Root stored = store(child.dir, result);
      tree.dirs.push_back({child.name, stored.tree, stored.meta});
    }
    Bytes bytes = serialize_dirtree(tree);
    const Checksum checksum = sha256(View(bytes));
    if (written_.insert(checksum).second)
      result.directories.push_back(std::move(bytes));
    return {checksum, dir.meta()};
  }

private:
  static bool is_removed(const LayerDir &layer, std::string_view name) {
    return std::binary_search(layer.removed.begin(), layer.removed.end(), name);
  }

  static const Dir *find(const MergedDir &merged, std::string_view name) {
    const auto found =
        std::lower_bound(merged.dirs.begin(), merged.dirs.end(), name,
                         [](const NamedDir &dir, std::string_view key) { return dir.name < key; });
    return found != merged.dirs.end() && found->name == name ? &found->dir : nullptr;
  }

  // The objects are kept until all is done: entries point into them.
  DirTree read(const Checksum &checksum, const std::string &path) {
    job_.check();
    bytes_.push_back(std::make_unique<const Bytes>(objects_.read(ObjectType::kDirTree, checksum)));
    DirTree tree;
    try {
      tree = parse_dirtree(View(*bytes_.back()));
    } catch (const Malformed &error) {
      check_intact(ObjectType::kDirTree, checksum, *bytes_.back());
      if (error.name.empty())
        invalid(path, error.what());
      throw Failure("LAYER_INVALID",
                    std::string(error.what()) + " (" + quoted(error.name) + " in " + quoted(path) + ")",
                    {{"path", path}});
    }
    count(tree.files.size() + tree.dirs.size(), path);
    return tree;
  }

  void count(uint64_t entries, const std::string &path) {
    entries_ += entries;
    if (entries_ > kMaxEntries)
      invalid(path.substr(0, 80),
              "there are more than " + std::to_string(kMaxEntries) + " files and directories");
  }

  // The entries of a directory below a layer. In a base, `.wh.` names are ordinary: there is nothing they
  // could hide.
  std::shared_ptr<const MergedDir> contents(const Dir &dir, const std::string &path) {
    if (dir.merged)
      return dir.merged;
    DirTree tree = read(dir.stored.tree, path);
    auto merged = std::make_shared<MergedDir>();
    merged->meta = dir.stored.meta;
    merged->files = std::move(tree.files);
    merged->dirs.reserve(tree.dirs.size());
    for (const DirEntry &entry : tree.dirs)
      merged->dirs.push_back({entry.name, {{entry.tree, entry.meta}, nullptr}});
    return merged;
  }

  static LayerDir parse_layer(DirTree tree, const std::string &path) {
    LayerDir layer;
    for (const FileEntry &file : tree.files) {
      if (file.name == kOpaque)
        layer.opaque = true;
      else if (file.name.starts_with(kWhiteout))
        layer.removed.push_back(whiteout_target(file.name, path));
      else
        layer.files.push_back(file);
    }
    for (const DirEntry &dir : tree.dirs)
      if (dir.name.starts_with(kWhiteout))
        invalid(join_path(path, dir.name), "a whiteout is a directory");
    layer.dirs = std::move(tree.dirs);
    return layer;
  }

  const Objects &objects_;
  Job &job_;
  uint64_t entries_ = 0;
  // Directories that are as they are wherever nothing is below them, and the entries in and under them.
  std::unordered_map<Checksum, uint64_t, ChecksumHash> intact_;
  std::vector<std::unique_ptr<const Bytes>> bytes_;
  std::unordered_set<Checksum, ChecksumHash> written_;
};

} // namespace

Composed compose(const ComposeOptions &options, Job &job) {
  const Objects objects(options.repositories);
  Composer composer(objects, job);
  Dir root{objects.root(options.base), nullptr};
  for (const Checksum &layer : options.layers)
    root = composer.apply(&root, objects.root(layer), "/", 0);
  Composed result;
  result.root = composer.store(root, result);
  return result;
}

} // namespace trees::store
