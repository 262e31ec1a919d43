#include "repo.h"

#include <fcntl.h>
#include <gio/gfiledescriptorbased.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <unordered_set>

namespace trees::delta {

namespace {

class Walker {
public:
  Walker(const Repo &repo, const Job &job, Tree &tree) : repo_(repo), job_(job), tree_(tree) {}

  void directory(const Checksum &dirtree, const Checksum &dirmeta, const std::string &path) {
    job_.check();
    if (metas_.insert(dirmeta).second)
      tree_.dirmetas.push_back(dirmeta);
    if (!trees_.insert(dirtree).second)
      return;
    tree_.dirtrees.push_back(dirtree);
    VariantPtr variant = repo_.load(OSTREE_OBJECT_TYPE_DIR_TREE, dirtree);
    VariantPtr files(g_variant_get_child_value(variant.get(), 0));
    VariantPtr dirs(g_variant_get_child_value(variant.get(), 1));
    for (gsize i = 0, count = g_variant_n_children(files.get()); i < count; i++) {
      const char *name;
      GVariant *checksum;
      g_variant_get_child(files.get(), i, "(&s@ay)", &name, &checksum);
      VariantPtr owned(checksum);
      Checksum file = checksum_from_variant(checksum);
      if (files_.insert(file).second)
        tree_.files.push_back({file, path + name});
    }
    for (gsize i = 0, count = g_variant_n_children(dirs.get()); i < count; i++) {
      const char *name;
      GVariant *subtree;
      GVariant *submeta;
      g_variant_get_child(dirs.get(), i, "(&s@ay@ay)", &name, &subtree, &submeta);
      VariantPtr owned_tree(subtree), owned_meta(submeta);
      directory(checksum_from_variant(subtree), checksum_from_variant(submeta), path + name + "/");
    }
  }

private:
  const Repo &repo_;
  const Job &job_;
  Tree &tree_;
  std::unordered_set<Checksum, ChecksumHash> files_, trees_, metas_;
};

} // namespace

const char *type_name(OstreeObjectType type) {
  return ostree_object_type_to_string(type);
}

Repo Repo::open(const std::string &path, GCancellable *cancellable) {
  Repo repo;
  repo.path_ = path;
  ObjectPtr<GFile> file(g_file_new_for_path(path.c_str()));
  repo.repo_.reset(ostree_repo_new(file.get()));
  GErrorSlot error;
  if (!ostree_repo_open(repo.get(), cancellable, &error))
    error.raise("STORE_UNUSABLE", "cannot open the repository " + path);
  repo.plain_ = ostree_repo_get_parent(repo.get()) == nullptr &&
                ostree_repo_get_mode(repo.get()) != OSTREE_REPO_MODE_ARCHIVE;
  return repo;
}

bool Repo::has(OstreeObjectType type, const Checksum &checksum) const {
  std::string hex = checksum.hex();
  if (plain_) {
    std::string name = "objects/" + hex.substr(0, 2) + "/" + hex.substr(2) + "." + type_name(type);
    if (::faccessat(ostree_repo_get_dfd(repo_.get()), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
      return true;
    if (errno == ENOENT)
      return false;
  }
  GErrorSlot error;
  gboolean found = FALSE;
  if (!ostree_repo_has_object(repo_.get(), type, hex.c_str(), &found, nullptr, &error))
    error.raise("STORE_UNUSABLE", "cannot look for an object in " + path_);
  return found != FALSE;
}

VariantPtr Repo::load(OstreeObjectType type, const Checksum &checksum) const {
  GErrorSlot error;
  GVariant *variant = nullptr;
  std::string hex = checksum.hex();
  if (!ostree_repo_load_variant(repo_.get(), type, hex.c_str(), &variant, &error))
    error.raise("STORE_CORRUPT", std::string("cannot read ") + type_name(type) + " " + hex + " in " + path_);
  return VariantPtr(variant);
}

FileMeta Repo::file_meta(const Checksum &checksum) const {
  GErrorSlot error;
  GFileInfo *raw_info = nullptr;
  GVariant *raw_xattrs = nullptr;
  std::string hex = checksum.hex();
  if (!ostree_repo_load_file(repo_.get(), hex.c_str(), nullptr, &raw_info, &raw_xattrs, nullptr, &error))
    error.raise("STORE_CORRUPT", "cannot read file " + hex + " in " + path_);
  ObjectPtr<GFileInfo> info(raw_info);
  VariantPtr xattrs(raw_xattrs);

  FileMeta meta;
  meta.uid = g_file_info_get_attribute_uint32(info.get(), "unix::uid");
  meta.gid = g_file_info_get_attribute_uint32(info.get(), "unix::gid");
  meta.mode = g_file_info_get_attribute_uint32(info.get(), "unix::mode");
  meta.symlink = S_ISLNK(meta.mode);
  if (meta.symlink) {
    const char *target = g_file_info_get_symlink_target(info.get());
    meta.target = target == nullptr ? "" : target;
  } else {
    meta.size = static_cast<uint64_t>(g_file_info_get_size(info.get()));
  }
  if (xattrs != nullptr) {
    auto *bytes = static_cast<const uint8_t *>(g_variant_get_data(xattrs.get()));
    meta.xattrs.assign(bytes, bytes + g_variant_get_size(xattrs.get()));
  }
  return meta;
}

Blob Repo::content(const Checksum &checksum) const {
  GErrorSlot error;
  GInputStream *raw_stream = nullptr;
  GFileInfo *raw_info = nullptr;
  std::string hex = checksum.hex();
  std::string what = "cannot read file " + hex + " in " + path_;
  if (!ostree_repo_load_file(repo_.get(), hex.c_str(), &raw_stream, &raw_info, nullptr, nullptr, &error))
    error.raise("STORE_CORRUPT", what);
  ObjectPtr<GFileInfo> info(raw_info);
  ObjectPtr<GInputStream> stream(raw_stream);
  auto size = static_cast<uint64_t>(g_file_info_get_size(info.get()));
  if (stream == nullptr || size == 0)
    return Blob();
  if (G_IS_FILE_DESCRIPTOR_BASED(stream.get())) {
    int fd = g_file_descriptor_based_get_fd(reinterpret_cast<GFileDescriptorBased *>(stream.get()));
    struct stat status;
    if (::fstat(fd, &status) != 0)
      throw_errno(what);
    if (static_cast<uint64_t>(status.st_size) == size)
      return Blob::map(fd, size);
  }
  Bytes bytes(size);
  gsize count = 0;
  if (!g_input_stream_read_all(stream.get(), bytes.data(), size, &count, nullptr, &error))
    error.raise("STORE_CORRUPT", what);
  if (count != size)
    throw Failure("STORE_CORRUPT", what + ": it is shorter than it says");
  return Blob(std::move(bytes));
}

VariantPtr Repo::detached(const Checksum &commit) const {
  GErrorSlot error;
  GVariant *metadata = nullptr;
  std::string hex = commit.hex();
  if (!ostree_repo_read_commit_detached_metadata(repo_.get(), hex.c_str(), &metadata, nullptr, &error))
    error.raise("STORE_CORRUPT", "cannot read the detached metadata of commit " + hex);
  return VariantPtr(metadata);
}

Tree Repo::walk(const Checksum &commit, const Job &job) const {
  VariantPtr variant = load(OSTREE_OBJECT_TYPE_COMMIT, commit);
  VariantPtr dirtree(g_variant_get_child_value(variant.get(), 6));
  VariantPtr dirmeta(g_variant_get_child_value(variant.get(), 7));
  Tree tree;
  Walker(*this, job, tree)
      .directory(checksum_from_variant(dirtree.get()), checksum_from_variant(dirmeta.get()), "");
  return tree;
}

} // namespace trees::delta
