#include "fuse-tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "handover.h"
#include "layers.h"
#include "mounts.h"
#include "syscalls.h"
#include "util.h"

// Beside the upper directory; not empty once that is fuse-overlayfs's. Whoever serves the tree holds flock(2)
// on it, so that there is one only.
#define MARK LAYERS_UPPER "/.fuse-overlayfs"

bool fuse_tree_kept(int stage) {
  struct stat status;
  return fstatat(stage, MARK, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_size > 0;
}

bool fuse_tree_replaces(int error) {
  switch (error) {
  case EPERM: // not in user namespaces (Linux before 5.11, policies)
  case EACCES:
  case EINVAL: // a file system that overlayfs does not write to: FUSE, NFS, 9p, virtiofs; too many levels
  case ENODEV: // no overlayfs
  case EOPNOTSUPP:
  case ENOSYS:
    return true;
  default:
    return false;
  }
}

const char *fuse_tree_program(void) {
  static const char *const programs[] = {"/usr/bin/fuse-overlayfs", "/usr/local/bin/fuse-overlayfs"};
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
    if (access(programs[i], X_OK) == 0)
      return programs[i];
  return NULL;
}

_Noreturn static void without(const struct plan *plan, int refused, const char *what, const char *hint) {
  const char *tree = plan_string(plan, plan->ops[0].source);
  const char *written = layers_written(plan);
  die_set_hint(hint);
  if (refused == (int)FUSE_TREE_KEPT)
    die("cannot mount the tree %s: what the instance wrote in %s is in the form of fuse-overlayfs, and %s",
        tree, written, what);
  die("cannot mount the tree %s: the kernel refuses an overlay on %s: %s, and %s", tree, written,
      strerror(refused), what);
}

static const char *install_hint(int refused) {
  return refused == (int)FUSE_TREE_KEPT
             ? "install fuse-overlayfs again, or have trees reset forget what the instance wrote"
             : "install fuse-overlayfs, or put the store on a local file system (ext4, xfs, btrfs)";
}

static int open_device(const struct plan *plan, int refused) {
  int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) {
    char what[128];
    snprintf(what, sizeof what, "fuse-overlayfs cannot use /dev/fuse: %s", strerror(errno));
    without(plan, refused, what,
            "have /dev/fuse with mode 0666 (modprobe fuse), or put the store on a local file system");
  }
  return device;
}

static int open_mark(const struct plan *plan) {
  if (plan->config->root != PLAN_ROOT_PERSISTENT)
    return -1;
  int fd = open(MARK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    die_errno("cannot make a note beside the upper directory");
  return fd;
}

// On disk before anything is written to the upper directory, but not before fuse-overlayfs can.
static void mark(const struct plan *plan) {
  CLEANUP_FD int fd = open_mark(plan);
  CLEANUP_FD int directory = open(LAYERS_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || (fstat(fd, &status) == 0 && status.st_size > 0))
    return;
  if (write_all(fd, "1\n", 2) != 0)
    die_errno("cannot note that fuse-overlayfs writes the upper directory");
  // A file system that cannot be asked to does as it likes.
  (void)!fsync(fd);
  (void)!fsync(directory);
}

int fuse_tree_mount(const struct plan *plan, int handover, int *stage, int refused) {
  if (fuse_tree_program() == NULL)
    without(plan, refused, "fuse-overlayfs is not installed", install_hint(refused));
  struct layers names = layers_of(plan);
  if (strpbrk(names.upper, ",:\\") != NULL || strpbrk(names.work, ",:\\") != NULL)
    die("cannot mount the tree %s by fuse-overlayfs: it takes no comma, colon or backslash in %s and %s",
        plan_string(plan, plan->ops[0].source), names.upper, names.work);
  char connection[32];
  CLEANUP_FD int device = open_device(plan, refused);
  CLEANUP_FD int lock = open_mark(plan);
  CLEANUP_FD int namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  CLEANUP_FD int layers = *stage;
  // Whoever serves the tree needs the layers and the host's programs. What it would hold of the tree itself,
  // that could never end.
  if (namespace < 0 || sys_unshare(CLONE_NEWNS) != 0)
    die_errno("cannot create a mount namespace for fuse-overlayfs");
  *stage = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*stage < 0)
    die_errno("cannot open the tmpfs for the container");
  snprintf(connection, sizeof connection, "fd=%d", device);
  // The kernel checks permissions, by the ids that files have in here.
  const char *options[] = {connection,    "rootmode=40755",      "user_id=0",    "group_id=0",
                           "allow_other", "default_permissions", "source=trees", "subtype=fuse-overlayfs",
                           NULL};
  int tree = mounts_new("fuse", options, PLAN_OPF_NODEV);
  if (tree < 0)
    die_errno("cannot mount the tree %s for fuse-overlayfs", plan_string(plan, plan->ops[0].source));
  int fds[FUSE_TREE_PLACES] = {[FUSE_TREE_DEVICE] = device,
                               [FUSE_TREE_NAMESPACE] = namespace,
                               [FUSE_TREE_STAGE] = layers,
                               [FUSE_TREE_LOCK] = lock};
  handover_tell(handover, fds, FUSE_TREE_PLACES, (uint32_t)refused);
  return tree;
}

void fuse_tree_wait(const struct plan *plan, int handover, int root) {
  struct stat status;
  // The first question is answered when there is somebody; it fails when everybody has let go of the
  // connection.
  if (fstat(root, &status) != 0)
    _exit(STATUS_FAILED);
  mark(plan);
  handover_give(handover, NULL, 0);
}
