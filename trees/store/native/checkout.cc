#include "checkout.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <system_error>
#include <thread>
#include <unordered_set>

#include "place.h"
#include "scan.h"

namespace trees::store {

namespace {

// Files that one thread takes on at a time: a directory of a hundred thousand is for all of them.
constexpr size_t kBatch = 512;

// The state of one checkout. Threads take what was added last, so that the tree is gone through depth first.
class Checkout {
public:
  Checkout(const CheckoutOptions &options, const ScannedTree &tree, FileSource &source, Job &job)
      : tree_(tree), job_(job), placer_(options, source, job) {}

  void run(const Root &root, int directory, bool fresh, unsigned threads) {
    auto top = std::make_shared<Directory>(nullptr, "");
    top->fd = duplicate(directory);
    top->created = fresh;
    top->meta = &tree_.meta(root.meta);
    enter(top, root.tree);
    std::vector<std::thread> others;
    try {
      for (unsigned i = 1; i < threads; i++)
        others.emplace_back([this] { work(); });
    } catch (const std::system_error &) {
      // The system gives us no more threads; those there are will do.
    }
    work();
    for (std::thread &other : others)
      other.join();
    if (error_)
      std::rethrow_exception(error_);
  }

  Placed result() { return std::move(placed_); }

private:
  // Some of a directory's entries: files are numbered first, then directories.
  struct Task {
    DirectoryPtr directory;
    size_t start;
    size_t end;
  };

  void work() {
    Placed mine;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !tasks_.empty() || running_ == 0 || error_ != nullptr; });
      if (error_ != nullptr || tasks_.empty())
        break;
      Task task = std::move(tasks_.back());
      tasks_.pop_back();
      running_++;
      lock.unlock();
      std::exception_ptr error;
      try {
        perform(task, mine);
      } catch (...) {
        error = std::current_exception();
      }
      task.directory.reset();
      lock.lock();
      running_--;
      if (error && !error_)
        error_ = error;
      if (error_ != nullptr || (running_ == 0 && tasks_.empty()))
        changed_.notify_all();
    }
    placed_.add(std::move(mine));
  }

  void perform(const Task &task, Placed &mine) {
    Directory &directory = *task.directory;
    const size_t files = directory.tree.files.size();
    try {
      for (size_t i = task.start; i < task.end; i++) {
        job_.check();
        if (stop_.load(std::memory_order_relaxed))
          return;
        if (i < files) {
          placer_.file(directory, directory.tree.files[i], mine);
        } else {
          const DirEntry &entry = directory.tree.dirs[i - files];
          const DirectoryPtr child = placer_.directory(task.directory, entry, tree_.meta(entry.meta));
          enter(child, entry.tree);
        }
        job_.done++;
      }
      const size_t count = task.end - task.start;
      if (directory.left.fetch_sub(count) == count)
        placer_.finish(directory);
    } catch (...) {
      stop_ = true;
      throw;
    }
  }

  // One task for each directory in it: it is opened when its turn comes, so that few are open at a time.
  void enter(const DirectoryPtr &directory, const Checksum &checksum) {
    directory->bytes = tree_.directory(checksum);
    directory->tree = parse_dirtree(View(*directory->bytes));
    const size_t files = directory->tree.files.size();
    const size_t count = files + directory->tree.dirs.size();
    directory->left = count;
    if (count == 0) {
      placer_.finish(*directory);
      return;
    }
    const std::lock_guard<std::mutex> guard(mutex_);
    for (size_t i = count; i > files; i--)
      tasks_.push_back({directory, i - 1, i});
    for (size_t start = 0; start < files; start += kBatch)
      tasks_.push_back({directory, start, std::min(files, start + kBatch)});
    changed_.notify_all();
  }

  const ScannedTree &tree_;
  Job &job_;
  Placer placer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Task> tasks_;
  size_t running_ = 0;
  std::exception_ptr error_;
  std::atomic<bool> stop_{false};
  Placed placed_;
};

// What cannot be taken back from a directory that others have something in must be found before anything is
// put there.
void look_at_files(const ScannedTree &tree, const Checksum &root, const FileSource &source, const Job &job) {
  std::vector<std::pair<Checksum, std::string>> left{{root, "/"}};
  std::unordered_set<Checksum, ChecksumHash> seen{root};
  while (!left.empty()) {
    job.check();
    const auto [checksum, path] = std::move(left.back());
    left.pop_back();
    const SharedBytes bytes = tree.directory(checksum);
    const DirTree directory = parse_dirtree(View(*bytes));
    for (const FileEntry &file : directory.files) {
      try {
        source.look(file.checksum);
      } catch (const Failure &failure) {
        const std::string at = join_path(path, file.name);
        auto details = failure.details;
        details.emplace("path", at);
        throw Failure(failure.code, std::string(failure.what()) + " (" + quoted(at) + ")", details);
      }
    }
    for (const DirEntry &dir : directory.dirs)
      if (seen.insert(dir.tree).second)
        left.emplace_back(dir.tree, join_path(path, dir.name));
  }
}

} // namespace

CheckoutResult checkout(const CheckoutOptions &options, Job &job) {
  const Objects objects(options.repositories);
  const Root root = objects.root(options.commit);
  const ScannedTree tree(objects, root, job);
  job.total = tree.entries();
  FileSource source(objects, options.user, job);
  if (options.merge && !options.fresh)
    look_at_files(tree, root.tree, source, job);
  Checkout work(options, tree, source, job);
  work.run(root, options.directory, options.fresh, std::max(1U, options.threads));
  Placed placed = work.result();
  CheckoutResult result;
  result.files = placed.files;
  result.size = placed.size;
  result.placed = placed.placed;
  result.same = placed.same;
  result.broken = source.broken();
  std::sort(placed.kept.begin(), placed.kept.end());
  result.kept = std::move(placed.kept);
  return result;
}

} // namespace trees::store
