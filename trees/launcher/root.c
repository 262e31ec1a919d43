#include "root.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse-tree.h"
#include "handover.h"
#include "layers.h"
#include "mounts.h"
#include "syscalls.h"
#include "util.h"

// The tmpfs is hung over a directory of the host's, in this mount namespace only, until pivot_root leaves it
// behind.
static int mount_stage(const struct plan *plan) {
  static const char *const places[] = {"/tmp", "/run", "/mnt", "/var"};
  char size[48];
  snprintf(size, sizeof size, "size=%llu", (unsigned long long)plan->config->upper_size);
  const char *options[] = {"mode=0755", "source=trees", plan->config->upper_size > 0 ? size : NULL, NULL};
  CLEANUP_FD int tmpfs = mounts_new("tmpfs", options, PLAN_OPF_NOSUID | PLAN_OPF_NODEV);
  if (tmpfs < 0)
    die_errno("cannot mount a tmpfs for the container");
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    CLEANUP_FD int place = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place < 0)
      continue;
    mounts_attach(tmpfs, place, "a tmpfs", places[i]);
    int stage = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (stage < 0 || fchdir(stage) != 0)
      die_errno("cannot open the tmpfs on %s", places[i]);
    return stage;
  }
  die("cannot find a directory to mount a tmpfs on: none of /tmp, /run, /mnt, /var exists");
}

static void attach_in_stage(int stage, int mount, const char *name, const char *what) {
  if (mkdirat(stage, name, 0755) != 0)
    die_errno("cannot make a directory for %s", what);
  CLEANUP_FD int target = openat(stage, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0)
    die_errno("cannot open the directory for %s", what);
  mounts_attach(mount, target, what, name);
}

// The upper directory's own owner and mode become those of /.
static void make_upper(int stage, int lower) {
  struct stat status;
  if (fstat(lower, &status) != 0)
    die_errno("cannot examine the tree");
  if (mkdirat(stage, "u", 0755) != 0 || mkdirat(stage, "u/upper", 0755) != 0 ||
      mkdirat(stage, "u/work", 0755) != 0 || fchmodat(stage, "u/upper", status.st_mode & 07777, 0) != 0)
    die_errno("cannot make the upper directory");
  // Without idmapped mounts the tree's owner may have no id here; root keeps it then.
  if (fchownat(stage, "u/upper", status.st_uid, status.st_gid, 0) != 0 && errno != EINVAL && errno != EPERM)
    die_errno("cannot set the owner of the upper directory");
}

static void stage_layers(const struct plan *plan, const struct sources *sources, int stage) {
  size_t layers = 0;
  for (size_t i = 0; i < plan->op_count; i++) {
    const struct plan_op *op = &plan->ops[i];
    const char *path = plan_string(plan, op->source);
    if (op->type == PLAN_OP_LOWER) {
      char name[LAYERS_NAME];
      layers_name(layers, name);
      if (layers == 0 && plan->config->root != PLAN_ROOT_PERSISTENT)
        make_upper(stage, sources->fds[i]);
      attach_in_stage(stage, sources->fds[i], name, path);
      layers++;
    } else if (op->type == PLAN_OP_UPPER) {
      attach_in_stage(stage, sources->fds[i], LAYERS_UPPER, path);
    }
  }
}

static int mount_overlay(const struct plan *plan) {
  struct layers layers = layers_of(plan);
  // The upper directory of a real root is read by others (image builds): it has to be complete in itself.
  const char *host_options[] = {layers.lower,       layers.upper,   layers.work, "source=trees",
                                "redirect_dir=off", "metacopy=off", "index=off", NULL};
  const char *userns_options[] = {layers.lower, layers.upper, layers.work, "source=trees", "userxattr", NULL};
  bool userns = plan->config->userns != PLAN_USERNS_HOST;
  return mounts_new("overlay", userns ? userns_options : host_options, PLAN_OPF_NODEV);
}

// The kernel's overlay, or else fuse-overlayfs's for an unprivileged caller. Tells the launcher which, as
// that has to serve it then. Root has other ways, and would make a process of the host's root work for a
// container.
static int mount_tree(const struct plan *plan, int handover, struct root *root) {
  const char *tree = plan_string(plan, plan->ops[0].source);
  bool unprivileged = plan_unprivileged(plan);
  bool kept = plan->config->root == PLAN_ROOT_PERSISTENT && fuse_tree_kept(root->stage);
  if (kept && !unprivileged) {
    die_set_hint("start it as the user whose it is, or have trees reset forget what the instance wrote");
    die("cannot mount the tree %s: what the instance wrote in %s is in the form of fuse-overlayfs", tree,
        layers_written(plan));
  }
  int overlay = kept ? -1 : mount_overlay(plan);
  if (overlay >= 0 && unprivileged)
    handover_give(handover, NULL, 0);
  if (overlay >= 0)
    return overlay;
  if (!kept && (!unprivileged || !fuse_tree_replaces(errno)))
    die_errno("cannot mount the tree %s as an overlay", tree);
  root->served = true;
  return fuse_tree_mount(plan, handover, &root->stage, kept ? (int)FUSE_TREE_KEPT : errno);
}

void root_build(const struct plan *plan, const struct sources *sources, int handover, struct root *root) {
  struct mount_attr slave = {.propagation = MS_SLAVE};
  if (sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &slave) != 0)
    die_errno("cannot make the host's mounts private to the container");
  *root = (struct root){.stage = mount_stage(plan)};
  stage_layers(plan, sources, root->stage);
  CLEANUP_FD int tree = mount_tree(plan, handover, root);
  attach_in_stage(root->stage, tree, "root", "the overlay");
  root->dir = openat(root->stage, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root->dir < 0)
    die_errno("cannot open the container's root");
  if (root->served)
    fuse_tree_wait(plan, handover, root->dir);
}

void root_enter(const struct plan *plan, const struct root *root) {
  if (fchdir(root->dir) != 0 || sys_pivot_root(".", ".") != 0)
    die_errno("cannot change into the container's root: pivot_root");
  // The old root lies on top of the new one now; it goes, with everything mounted in it.
  if (syscall(SYS_umount2, ".", 2 /* MNT_DETACH */) != 0 || chdir("/") != 0)
    die_errno("cannot let go of the host's root: umount2");
  if (plan->config->root == PLAN_ROOT_READONLY) {
    struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};
    if (sys_mount_setattr(AT_FDCWD, "/", 0, &readonly) != 0)
      die_errno("cannot make the container's root read-only");
  }
}
