// Feeds parts to the interpreter of operations, with a repository that has one file to patch from. The first
// byte is the number of objects that the part's header announces, the second chooses their types, the third
// which of them are in the repository already: of the others none can ever have its checksum, so the first
// one that is whole ends the part.
#include <cstdlib>
#include <filesystem>

#include "../executor.h"

using namespace trees;
using namespace trees::delta;

namespace {

// Its checksum, 0e4af04a7585c32f…, is in the seeds.
constexpr char CONTENT[] = "The quick brown fox jumps over the lazy dog, and over the quick brown fox.\n";

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

Checksum write_source(const Repo &repo) {
  ObjectPtr<GInputStream> content(g_memory_input_stream_new_from_data(CONTENT, sizeof CONTENT - 1, nullptr));
  ObjectPtr<GFileInfo> info(g_file_info_new());
  g_file_info_set_attribute_uint32(info.get(), "unix::uid", 0);
  g_file_info_set_attribute_uint32(info.get(), "unix::gid", 0);
  g_file_info_set_attribute_uint32(info.get(), "unix::mode", S_IFREG | 0644);
  g_file_info_set_file_type(info.get(), G_FILE_TYPE_REGULAR);
  g_file_info_set_size(info.get(), sizeof CONTENT - 1);
  GInputStream *raw = nullptr;
  guint64 size = 0;
  GErrorSlot error;
  if (!ostree_raw_file_to_content_stream(content.get(), info.get(), nullptr, &raw, &size, nullptr, &error))
    abort();
  ObjectPtr<GInputStream> stream(raw);
  guchar *csum = nullptr;
  if (!ostree_repo_write_content(repo.get(), nullptr, stream.get(), size, &csum, nullptr, &error))
    abort();
  Checksum checksum = Checksum::from_bytes(csum);
  g_free(csum);
  return checksum;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string path = make_repository();
  static const int removed = atexit([] { std::filesystem::remove_all(path); });
  static Job job;
  static const Repo repo = Repo::open(path, nullptr);
  static const Checksum source = write_source(repo);
  static Stage stage(repo);
  static ObjectWriter writer(stage);
  static Crew crew(1);
  if (size < 3 || removed != 0)
    return 0;
  PartHeader header{};
  static const OstreeObjectType types[] = {OSTREE_OBJECT_TYPE_FILE, OSTREE_OBJECT_TYPE_DIR_TREE,
                                           OSTREE_OBJECT_TYPE_DIR_META, OSTREE_OBJECT_TYPE_COMMIT};
  for (unsigned i = 0; i < data[0] % 8; i++) {
    bool have = (data[2] >> i & 1) != 0;
    header.objects.push_back(
        {have ? OSTREE_OBJECT_TYPE_FILE : types[(data[1] >> (i % 4)) % 4], have ? source : Checksum()});
  }
  header.unpacked = size;
  std::vector<bool> wanted;
  for (const PartObject &object : header.objects)
    wanted.push_back(!repo.has(object.type, object.checksum));
  // Its own copy, so that reading beyond the end is found.
  Bytes part(data + 3, data + size);
  try {
    execute_part(View(part), Blob(), header, wanted, {repo, writer, crew, job});
  } catch (const Failure &) {
    // Refusing is right; anything else is a finding.
  }
  return 0;
}
