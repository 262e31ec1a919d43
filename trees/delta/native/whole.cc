#include "whole.h"

#include <algorithm>
#include <unordered_set>

namespace trees::delta {

namespace {

class Check {
public:
  Check(const Repo &repo, const Stage &stage, const Superblock &block, const Job &job)
      : repo_(repo), stage_(stage), block_(block), job_(job) {
    brought_.reserve(block.objects);
    for (const PartHeader &part : block.parts)
      for (const PartObject &object : part.objects)
        brought_.push_back(object.checksum);
    std::sort(brought_.begin(), brought_.end());
  }

  void run() {
    VariantPtr dirtree(g_variant_get_child_value(block_.commit.get(), 6));
    VariantPtr dirmeta(g_variant_get_child_value(block_.commit.get(), 7));
    directory(checksum_of(dirtree.get()), checksum_of(dirmeta.get()));
  }

private:
  static Checksum checksum_of(GVariant *value) {
    if (g_variant_get_size(value) != 32)
      corrupt("a checksum in its metadata is malformed");
    return checksum_from_variant(value);
  }

  // All objects of the parts have been staged or were there before.
  bool brought(const Checksum &checksum) const {
    return std::binary_search(brought_.begin(), brought_.end(), checksum);
  }

  void need(OstreeObjectType type, const Checksum &checksum) {
    if (seen_.insert(checksum).second && !brought(checksum) && !repo_.has(type, checksum))
      missing(type, checksum);
  }

  [[noreturn]] void missing(OstreeObjectType type, const Checksum &checksum) const {
    std::string what = std::string(type_name(type)) + " " + checksum.hex() + " is missing";
    bool full = !block_.from;
    throw Failure(full ? "BUNDLE_CORRUPT" : "STORE_CORRUPT",
                  full ? "it lacks objects of its commit: " + what
                       : "its source commit is not whole: " + what,
                  {{"object", checksum.hex()}, {"type", type_name(type)}});
  }

  VariantPtr load(const Checksum &checksum) const {
    if (repo_.has(OSTREE_OBJECT_TYPE_DIR_TREE, checksum))
      return repo_.load(OSTREE_OBJECT_TYPE_DIR_TREE, checksum);
    if (!brought(checksum))
      missing(OSTREE_OBJECT_TYPE_DIR_TREE, checksum);
    return stage_.load(OSTREE_OBJECT_TYPE_DIR_TREE, checksum);
  }

  void directory(const Checksum &dirtree, const Checksum &dirmeta) {
    job_.check();
    need(OSTREE_OBJECT_TYPE_DIR_META, dirmeta);
    if (!seen_.insert(dirtree).second)
      return;
    VariantPtr variant = load(dirtree);
    VariantPtr files(g_variant_get_child_value(variant.get(), 0));
    VariantPtr dirs(g_variant_get_child_value(variant.get(), 1));
    for (gsize i = 0, count = g_variant_n_children(files.get()); i < count; i++) {
      VariantPtr entry(g_variant_get_child_value(files.get(), i));
      VariantPtr checksum(g_variant_get_child_value(entry.get(), 1));
      need(OSTREE_OBJECT_TYPE_FILE, checksum_of(checksum.get()));
    }
    for (gsize i = 0, count = g_variant_n_children(dirs.get()); i < count; i++) {
      VariantPtr entry(g_variant_get_child_value(dirs.get(), i));
      VariantPtr tree(g_variant_get_child_value(entry.get(), 1));
      VariantPtr meta(g_variant_get_child_value(entry.get(), 2));
      directory(checksum_of(tree.get()), checksum_of(meta.get()));
    }
  }

  const Repo &repo_;
  const Stage &stage_;
  const Superblock &block_;
  const Job &job_;
  std::vector<Checksum> brought_;
  std::unordered_set<Checksum, ChecksumHash> seen_;
};

} // namespace

void check_whole(const Repo &repo, const Stage &stage, const Superblock &block, const Job &job) {
  Check(repo, stage, block, job).run();
}

} // namespace trees::delta
