// Applies whole files to an empty repository: everything from the seek table to the objects that are
// published.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "../apply.h"

using namespace trees;
using namespace trees::delta;

namespace {

std::string make_directory() {
  std::string path = "/dev/shm/trees-fuzz-XXXXXX";
  if (mkdtemp(path.data()) == nullptr)
    abort();
  return path;
}

void make_repository(const std::string &path) {
  std::filesystem::remove_all(path);
  ObjectPtr<GFile> file(g_file_new_for_path(path.c_str()));
  ObjectPtr<OstreeRepo> repo(ostree_repo_new(file.get()));
  GErrorSlot error;
  if (!ostree_repo_create(repo.get(), OSTREE_REPO_MODE_BARE_USER_ONLY, nullptr, &error))
    abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string directory = make_directory();
  static const std::string repository = directory + "/repo";
  static const int removed = atexit([] { std::filesystem::remove_all(directory); });
  static bool empty = false;
  if (removed != 0)
    abort();
  if (!empty)
    make_repository(repository);
  empty = true;
  Fd file(memfd_create("bundle", MFD_CLOEXEC));
  write_all(file.get(), data, size);
  std::string path = "/proc/self/fd/" + std::to_string(file.get());
  Job job;
  try {
    OpenBundle bundle(path, directory, std::nullopt, job);
    bundle.arrival.advance(size);
    ApplyOptions options;
    options.repository = repository;
    options.threads = 2;
    apply(bundle, options, job);
    empty = false;
  } catch (const Failure &) {
    // Refusing is right; anything else is a finding.
  }
  return 0;
}
