#include "sources.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "mounts.h"
#include "syscalls.h"
#include "util.h"

static bool from_host(const struct plan_op *op) {
  return op->type == PLAN_OP_LOWER || op->type == PLAN_OP_UPPER || op->type == PLAN_OP_BIND ||
         op->type == PLAN_OP_DEVICE;
}

// One that shows the host's processes cannot be mounted in another user namespace than the host's: an
// unprivileged caller gets the host's own, with all that is mounted in it, as it must not leave that out.
static int open_proc(const struct plan *plan, const struct plan_op *op) {
  static const char path[] = "/proc";
  if (!plan_unprivileged(plan))
    return mounts_proc(plan_string(plan, op->data), op->flags & ~(uint32_t)PLAN_OPF_RDONLY, path);
  int fd = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (fd < 0)
    die_errno("cannot mount %s", path);
  mounts_take(fd, op->flags | PLAN_OPF_RECURSIVE, path);
  return fd;
}

static void check_kind(const struct plan_op *op, int fd, const char *path) {
  struct stat status;
  if (fstat(fd, &status) != 0)
    die_errno("cannot examine %s", path);
  // A hostile /dev on the host side (itself a container's, say) must not smuggle in another file
  // (CVE-2025-31133).
  if (op->type == PLAN_OP_DEVICE && (!S_ISCHR(status.st_mode) || status.st_rdev != op->number))
    die("refused: %s is not the character device %u:%u", path, major(op->number), minor(op->number));
  if ((op->type == PLAN_OP_LOWER || op->type == PLAN_OP_UPPER) && !S_ISDIR(status.st_mode))
    die("cannot use %s: it is not a directory", path);
}

static int open_source(const struct plan *plan, const struct plan_op *op) {
  const char *path = plan_string(plan, op->source);
  bool recursive = (op->flags & PLAN_OPF_RECURSIVE) != 0;
  int fd =
      sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0));
  if (fd < 0 && (op->flags & PLAN_OPF_OPTIONAL) != 0)
    return -1;
  if (fd < 0)
    die_errno(op->type == PLAN_OP_BIND ? "cannot mount %s" : "cannot open %s", path);
  check_kind(op, fd, path);
  mounts_take(fd, op->flags, path);
  return fd;
}

struct sources sources_none(const struct plan *plan) {
  struct sources sources = {.fds = malloc((plan->op_count + 1) * sizeof *sources.fds)};
  if (sources.fds == NULL)
    die_errno("cannot start");
  for (size_t i = 0; i <= plan->op_count; i++)
    sources.fds[i] = -1;
  return sources;
}

void sources_open(const struct plan *plan, struct sources *sources) {
  for (size_t i = 0; i < plan->op_count; i++) {
    const struct plan_op *op = &plan->ops[i];
    bool proc = op->type == PLAN_OP_PROC && plan_shares_pids(plan);
    sources->fds[i] = proc ? open_proc(plan, op) : from_host(op) ? open_source(plan, op) : -1;
  }
}

void sources_close(const struct plan *plan, struct sources *sources) {
  for (size_t i = 0; sources->fds != NULL && i < plan->op_count; i++)
    close_fd(&sources->fds[i]);
  free(sources->fds);
  sources->fds = NULL;
}

bool sources_idmap(const struct plan *plan, const struct sources *sources, int userns, const char **path) {
  for (size_t i = 0; i < plan->op_count; i++) {
    const struct plan_op *op = &plan->ops[i];
    if (sources->fds[i] < 0 || (op->flags & PLAN_OPF_IDMAP) == 0)
      continue;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
    unsigned flags = AT_EMPTY_PATH | ((op->flags & PLAN_OPF_RECURSIVE) != 0 ? AT_RECURSIVE : 0);
    if (sys_mount_setattr(sources->fds[i], "", flags, &attributes) == 0)
      continue;
    *path = plan_string(plan, op->source);
    if (op->type != PLAN_OP_BIND)
      return false;
    warning_errno("%s cannot show the container's user ids, its files belong to nobody inside", *path);
  }
  return true;
}
