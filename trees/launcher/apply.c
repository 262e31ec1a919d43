#include "apply.h"

#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "kernel-settings.h"
#include "mounts.h"
#include "notify-socket.h"
#include "paths.h"
#include "syscalls.h"
#include "timing.h"
#include "util.h"

// What hides things, made when the first thing is hidden: mounts that are read-only already, to be copied.
struct blank {
  int directory;
  int file;
};

struct step {
  const struct plan *plan;
  struct blank *blank;
  const struct plan_op *op;
  const struct root *root;
  const char *target;
  int source; // detached mount from the host, or -1
  int *made;  // what comes of it for the launcher
  bool real;
};

// A link in the tree can lead a mount into /proc, where whoever writes to a file of the kernel's would then
// write to another one (CVE-2025-52881).
static void refuse_kernel_files(const struct step *step, int target) {
  struct statfs status;
  if (step->real)
    return; // chosen by trees
  if (fstatfs(target, &status) != 0)
    die_errno("cannot examine the mount point %s", step->target);
  if (status.f_type == PROC_SUPER_MAGIC || status.f_type == SYSFS_MAGIC)
    die("refused: the mount point %s leads into /proc or /sys", step->target);
}

static void attach_at(const struct step *step, int mount, enum target_kind kind, const char *what) {
  CLEANUP_FD int target = path_target(step->root->dir, step->target, kind, step->real);
  refuse_kernel_files(step, target);
  mounts_attach(mount, target, what, step->target);
}

static void bind(const struct step *step) {
  if (step->source < 0)
    return; // optional and missing
  struct stat status;
  const char *path = plan_string(step->plan, step->op->source);
  if (fstat(step->source, &status) != 0)
    die_errno("cannot examine %s", path);
  attach_at(step, step->source, S_ISDIR(status.st_mode) ? TARGET_DIRECTORY : TARGET_FILE, path);
}

static void filesystem(const struct step *step, const char *type, const char *const options[]) {
  CLEANUP_FD int mount = mounts_new(type, options, step->op->flags & ~(uint32_t)PLAN_OPF_RDONLY);
  if (mount < 0 && (step->op->flags & PLAN_OPF_OPTIONAL) != 0)
    return;
  if (mount < 0)
    die_errno("cannot mount a %s on %s", type, step->target);
  attach_at(step, mount, TARGET_DIRECTORY, type);
  // Only now: some file systems (sysfs) count a read-only superblock and a read-only mount as
  // different.
  mounts_restrict(mount, step->op->flags & PLAN_OPF_RDONLY, step->target);
}

static void tmpfs(const struct step *step) {
  char size[48];
  char mode[32];
  snprintf(size, sizeof size, "size=%llu", (unsigned long long)step->op->number);
  snprintf(mode, sizeof mode, "mode=%o", step->op->mode);
  const char *options[] = {"source=tmpfs", mode, step->op->number > 0 ? size : NULL, NULL};
  filesystem(step, "tmpfs", options);
}

// One of the host's processes comes from the host.
static void procfs(const struct step *step) {
  CLEANUP_FD int own =
      step->source >= 0 ? -1
                        : mounts_proc(plan_string(step->plan, step->op->data), step->op->flags, step->target);
  int mount = step->source >= 0 ? step->source : own;
  attach_at(step, mount, TARGET_DIRECTORY, "proc");
  kernel_settings_apply(step->plan, mount); // before anything is mounted in it
}

static void devpts(const struct step *step) {
  char gid[32];
  snprintf(gid, sizeof gid, "gid=%llu", (unsigned long long)step->op->number);
  const char *options[] = {"ptmxmode=0666", "mode=0620", step->op->number != UINT64_MAX ? gid : NULL, NULL};
  filesystem(step, "devpts", options);
}

static void symlink_at(const struct step *step) {
  const char *name;
  CLEANUP_FD int dir = path_parent(step->root->dir, step->target, step->real, &name);
  if (symlinkat(plan_string(step->plan, step->op->data), dir, name) != 0 && errno != EEXIST)
    die_errno("cannot make the symbolic link %s", step->target);
}

static void directory(const struct step *step) {
  const char *name;
  CLEANUP_FD int dir = path_parent(step->root->dir, step->target, step->real, &name);
  if (mkdirat(dir, name, 0700) == 0) {
    if (fchmodat(dir, name, step->op->mode, 0) != 0)
      die_errno("cannot set the mode of %s", step->target);
  } else if (errno != EEXIST) {
    die_errno("cannot make the directory %s", step->target);
  }
}

// Something made in the stage, as a file of the container: what is written to it is gone with the container.
static void attach_staged(const struct step *step, const char *name, const char *what) {
  char its[32];
  CLEANUP_FD int place = openat(step->root->stage, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (place < 0)
    die_errno("cannot open the %s of %s", what, step->target);
  CLEANUP_FD int mount = mounts_clone(place, step->target, step->op->flags);
  snprintf(its, sizeof its, "its %s", what);
  attach_at(step, mount, TARGET_FILE, its);
}

static void file(const struct step *step) {
  char name[32];
  const char *content = plan_string(step->plan, step->op->data);
  snprintf(name, sizeof name, "f%zu", (size_t)(step->op - step->plan->ops));
  {
    CLEANUP_FD int out = openat(step->root->stage, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (out < 0 || write_all(out, content, strlen(content)) != 0 || fchmod(out, step->op->mode) != 0)
      die_errno("cannot write the content of %s", step->target);
  }
  attach_staged(step, name, "content");
}

// As a file: its name is chosen here, so nothing in the tree leads it elsewhere.
static void notify(const struct step *step) {
  static const char name[] = "notify";
  *step->made = notify_socket_make(name);
  if (*step->made < 0 || fchmodat(step->root->stage, name, step->op->mode, 0) != 0)
    die_errno("cannot make the socket %s", step->target);
  attach_staged(step, name, "socket");
}

// An empty directory, mounted read-only on itself where the container does not see it.
static int blank_directory(const struct step *step) {
  if (step->blank->directory >= 0)
    return step->blank->directory;
  if (mkdirat(step->root->stage, "empty", 0555) != 0)
    die_errno("cannot make an empty directory");
  CLEANUP_FD int place = openat(step->root->stage, "empty", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (place < 0)
    die_errno("cannot open what hides %s", step->target);
  step->blank->directory =
      mounts_clone(place, "nothing", PLAN_OPF_RDONLY | PLAN_OPF_NOSUID | PLAN_OPF_NODEV | PLAN_OPF_NOEXEC);
  mounts_attach(step->blank->directory, place, "nothing", "itself");
  return step->blank->directory;
}

// /dev/null of the container is the host's, checked when it was opened (CVE-2025-31133).
static int blank_file(const struct step *step) {
  if (step->blank->file < 0)
    step->blank->file = path_open(step->root->dir, "/dev/null", true);
  if (step->blank->file < 0)
    die_errno("cannot open what hides %s", step->target);
  return step->blank->file;
}

static void mask(const struct step *step) {
  CLEANUP_FD int target = path_open(step->root->dir, step->target, true);
  if (target < 0 && errno == ENOENT)
    return;
  struct stat status;
  if (target < 0 || fstat(target, &status) != 0)
    die_errno("cannot hide %s", step->target);
  int place = S_ISDIR(status.st_mode) ? blank_directory(step) : blank_file(step);
  CLEANUP_FD int mount = mounts_clone(place, step->target, 0);
  mounts_attach(mount, target, "nothing", step->target);
}

static void readonly(const struct step *step) {
  CLEANUP_FD int target = path_open(step->root->dir, step->target, true);
  if (target < 0 && errno == ENOENT)
    return;
  if (target < 0)
    die_errno("cannot make %s read-only", step->target);
  CLEANUP_FD int mount =
      mounts_clone(target, step->target, step->op->flags | PLAN_OPF_RDONLY | PLAN_OPF_RECURSIVE);
  mounts_attach(mount, target, "itself", step->target);
}

static void apply(const struct step *step) {
  static const char *const none[] = {NULL};
  switch ((enum plan_op_type)step->op->type) {
  case PLAN_OP_LOWER:
  case PLAN_OP_UPPER:
  case PLAN_OP_END:
    break;
  case PLAN_OP_BIND:
    bind(step);
    break;
  case PLAN_OP_DEVICE:
    if (step->source >= 0)
      attach_at(step, step->source, TARGET_FILE, plan_string(step->plan, step->op->source));
    break;
  case PLAN_OP_TMPFS:
    tmpfs(step);
    break;
  case PLAN_OP_PROC:
    procfs(step);
    break;
  case PLAN_OP_SYSFS:
    filesystem(step, "sysfs", none);
    break;
  case PLAN_OP_MQUEUE:
    filesystem(step, "mqueue", none);
    break;
  case PLAN_OP_DEVPTS:
    devpts(step);
    break;
  case PLAN_OP_SYMLINK:
    symlink_at(step);
    break;
  case PLAN_OP_DIR:
    directory(step);
    break;
  case PLAN_OP_FILE:
    file(step);
    break;
  case PLAN_OP_NOTIFY:
    notify(step);
    break;
  case PLAN_OP_MASK:
    mask(step);
    break;
  case PLAN_OP_READONLY:
    readonly(step);
    break;
  case PLAN_OP_CGROUP: // apply_cgroups()
    break;
  }
}

// A sysfs shows the network that it was mounted in, and settings of the network are those of whoever sets
// them.
static bool needs_network(const struct plan *plan, const struct plan_op *op) {
  return op->type == PLAN_OP_SYSFS || (op->type == PLAN_OP_PROC && kernel_settings_of_network(plan));
}

void apply_operations(const struct plan *plan, const struct sources *sources, const struct root *root,
                      struct network *network) {
  struct blank blank = {.directory = -1, .file = -1};
  for (size_t i = 0; i < plan->op_count; i++) {
    const struct plan_op *op = &plan->ops[i];
    struct step step = {.plan = plan,
                        .blank = &blank,
                        .op = op,
                        .root = root,
                        .target = plan_string(plan, op->target),
                        .source = sources->fds[i],
                        .made = &sources->fds[i],
                        .real = (op->flags & PLAN_OPF_REAL_DIR) != 0};
    if (needs_network(plan, op)) {
      network_join(network);
      timing_mark("wait for the network", "");
    }
    apply(&step);
    if (op->type != PLAN_OP_LOWER && op->type != PLAN_OP_UPPER)
      timing_mark(op->type == PLAN_OP_MASK ? "hide" : "make", step.target);
  }
  close_fd(&blank.directory);
  close_fd(&blank.file);
}

void apply_cgroups(const struct plan *plan, const struct root *root) {
  static const char *const none[] = {NULL};
  for (size_t i = 0; i < plan->op_count; i++) {
    const struct plan_op *op = &plan->ops[i];
    struct step step = {.plan = plan,
                        .op = op,
                        .root = root,
                        .target = plan_string(plan, op->target),
                        .source = -1,
                        .real = (op->flags & PLAN_OPF_REAL_DIR) != 0};
    if (op->type == PLAN_OP_CGROUP)
      filesystem(&step, "cgroup2", none);
  }
}
