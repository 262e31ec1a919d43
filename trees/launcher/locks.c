#include "locks.h"

#include <sys/file.h>
#include <sys/stat.h>

#include "syscalls.h"
#include "util.h"

static int hold_tree(const char *path) {
  struct stat status;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    die_errno("cannot open the lock %s", path);
  if (RETRY(flock(fd, LOCK_SH | LOCK_NB)) != 0)
    die_errno("cannot lock %s: it is being removed", path);
  if (fstat(fd, &status) != 0 || status.st_nlink == 0)
    die("cannot lock %s: it has been removed", path);
  return fd;
}

static bool same_file(int fd, const char *path) {
  struct stat held;
  struct stat named;
  return fd >= 0 && fstat(fd, &held) == 0 && lstat(path, &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

static int hold_own(const char *path, int before) {
  if (same_file(before, path))
    return before;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    die_errno("cannot open the lock %s", path);
  if (RETRY(flock(fd, LOCK_EX | LOCK_NB)) != 0)
    die("the instance is running already: %s is locked (another --name, or --ephemeral, gives another "
        "instance)",
        path);
  return fd;
}

struct locks locks_hold(const struct plan *plan, struct locks before) {
  const char *tree = plan_string(plan, plan->config->lock_file);
  const char *own = plan_string(plan, plan->config->own_lock);
  struct locks locks = {.tree = tree[0] != '\0' ? hold_tree(tree) : -1,
                        .own = own[0] != '\0' ? hold_own(own, before.own) : -1};
  close_fd(&before.tree);
  if (before.own != locks.own)
    close_fd(&before.own);
  return locks;
}
