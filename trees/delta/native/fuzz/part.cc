// Feeds parts to the interpreter of operations, with a repository that has one source object. The first byte
// is the number of objects that the part's header announces, the second chooses their types.
#include <cstdlib>
#include <filesystem>

#include "../executor.h"

using namespace trees::delta;

namespace {

std::string make_repository() {
  std::string path = "/tmp/trees-fuzz-XXXXXX";
  if (mkdtemp(path.data()) == nullptr)
    abort();
  ObjectPtr<GFile> file(g_file_new_for_path(path.c_str()));
  ObjectPtr<OstreeRepo> repo(ostree_repo_new(file.get()));
  GErrorSlot error;
  if (!ostree_repo_create(repo.get(), OSTREE_REPO_MODE_BARE_USER_ONLY, nullptr, &error))
    abort();
  return path;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string path = make_repository();
  static Job job;
  static const Repo repo = Repo::open(path, nullptr);
  static ObjectWriter writer(repo, job);
  if (size < 2)
    return 0;
  PartHeader header{};
  static const OstreeObjectType types[] = {OSTREE_OBJECT_TYPE_FILE, OSTREE_OBJECT_TYPE_DIR_TREE,
                                           OSTREE_OBJECT_TYPE_DIR_META, OSTREE_OBJECT_TYPE_COMMIT};
  for (unsigned i = 0; i < data[0] % 8; i++)
    header.objects.push_back({types[(data[1] >> (i % 4)) % 4], Checksum()});
  // Its own copy, so that reading beyond the end is found.
  Bytes part(data + 2, data + size);
  try {
    execute_part(View(part), header, {repo, writer, job, "/tmp"});
  } catch (const Failure &) {
    // Refusing is right; anything else is a finding.
  }
  return 0;
}
