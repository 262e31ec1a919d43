#include "dirtree.h"

#include "gerror.h"
#include "values.h"

namespace {

std::string NameOf(GVariant *entries, size_t index) {
  Ref<GVariant> entry(g_variant_get_child_value(entries, index));
  Ref<GVariant> name(g_variant_get_child_value(entry.get(), 0));
  return g_variant_get_string(name.get(), nullptr);
}

std::string ChecksumOf(GVariant *entries, size_t index, size_t field) {
  Ref<GVariant> entry(g_variant_get_child_value(entries, index));
  Ref<GVariant> checksum(g_variant_get_child_value(entry.get(), field));
  return ToChecksum(checksum.get(), "checksum in dirtree");
}

} // namespace

DirTree::DirTree(OstreeRepo *repo, const std::string &checksum) {
  ErrorSlot error;
  Ref<GVariant> tree;
  error.Check(
      ostree_repo_load_variant(repo, OSTREE_OBJECT_TYPE_DIR_TREE, checksum.c_str(), tree.Out(), error));
  error.Check(ostree_validate_structureof_dirtree(tree.get(), error));
  files_ = Ref<GVariant>(g_variant_get_child_value(tree.get(), 0));
  dirs_ = Ref<GVariant>(g_variant_get_child_value(tree.get(), 1));
}

std::string DirTree::FileName(size_t index) const {
  return NameOf(files_.get(), index);
}
std::string DirTree::FileChecksum(size_t index) const {
  return ChecksumOf(files_.get(), index, 1);
}
std::string DirTree::DirName(size_t index) const {
  return NameOf(dirs_.get(), index);
}
std::string DirTree::DirChecksum(size_t index) const {
  return ChecksumOf(dirs_.get(), index, 1);
}
std::string DirTree::DirMeta(size_t index) const {
  return ChecksumOf(dirs_.get(), index, 2);
}

CommitRoot LoadRoot(OstreeRepo *repo, const std::string &rev) {
  ErrorSlot error;
  char *out = nullptr;
  error.Check(ostree_repo_resolve_rev(repo, rev.c_str(), FALSE, &out, error));
  GString8 checksum(out);
  Ref<GVariant> commit;
  error.Check(ostree_repo_load_variant(repo, OSTREE_OBJECT_TYPE_COMMIT, checksum.get(), commit.Out(), error));
  Ref<GVariant> tree(g_variant_get_child_value(commit.get(), 6));
  Ref<GVariant> meta(g_variant_get_child_value(commit.get(), 7));
  return {checksum.get(), ToChecksum(tree.get(), "root tree of commit"),
          ToChecksum(meta.get(), "root metadata of commit")};
}
