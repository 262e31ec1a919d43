// trees-probe: tries the kernel features that containers need and prints one line for each: "NAME ERRNO", 0
// for success. Each is tried in a child of its own, in namespaces of its own, so nothing outlives the probe.
//
//   trees-probe DIR    DIR is an empty directory on the file system to try overlayfs and idmapped mounts on
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// mount(2)'s and mount_setattr(2)'s kernel headers cannot be included together with sys/mount.h everywhere.
struct probe_mount_attr {
  uint64_t attr_set;
  uint64_t attr_clr;
  uint64_t propagation;
  uint64_t userns_fd;
};
enum {
  PROBE_OPEN_TREE_CLONE = 1,
  PROBE_MOUNT_ATTR_IDMAP = 0x00100000,
};

struct context {
  const char *dir;
  uid_t uid;
  gid_t gid;
};

static int write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return errno;
  ssize_t length = (ssize_t)strlen(text);
  int error = write(fd, text, (size_t)length) == length ? 0 : errno;
  close(fd);
  return error;
}

// A user namespace in which this process is root.
static int enter_userns(const struct context *context) {
  char map[64];
  if (unshare(CLONE_NEWUSER) != 0)
    return errno;
  int error = write_file("/proc/self/setgroups", "deny");
  if (error != 0 && error != ENOENT)
    return error;
  snprintf(map, sizeof map, "0 %u 1", context->uid);
  error = write_file("/proc/self/uid_map", map);
  if (error != 0)
    return error;
  snprintf(map, sizeof map, "0 %u 1", context->gid);
  return write_file("/proc/self/gid_map", map);
}

static int enter_namespaces(const struct context *context, int flags) {
  if (context->uid != 0) {
    int error = enter_userns(context);
    if (error != 0)
      return error;
  }
  return unshare(flags) == 0 ? 0 : errno;
}

static int probe_userns(const struct context *context) {
  return enter_userns(context);
}

static int probe_namespaces(const struct context *context) {
  return enter_namespaces(context, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                                       CLONE_NEWCGROUP);
}

static int private_mounts(const struct context *context) {
  int error = enter_namespaces(context, CLONE_NEWNS);
  if (error != 0)
    return error;
  return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ? 0 : errno;
}

static int touch(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return errno;
  close(fd);
  return 0;
}

// Writing to it and deleting from below are what needs support from the file system (attributes, whiteouts).
static int probe_overlay(const struct context *context) {
  static const char *const names[] = {"lower", "upper", "work", "merged"};
  int error = private_mounts(context);
  if (error != 0)
    return error;
  if (chdir(context->dir) != 0)
    return errno;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (mkdir(names[i], 0700) != 0)
      return errno;
  error = touch("lower/below");
  if (error != 0)
    return error;
  const char *options = context->uid == 0 ? "lowerdir=lower,upperdir=upper,workdir=work"
                                          : "lowerdir=lower,upperdir=upper,workdir=work,userxattr";
  if (mount("overlay", "merged", "overlay", 0, options) != 0)
    return errno;
  error = touch("merged/new");
  if (error != 0)
    return error;
  return unlink("merged/below") == 0 ? 0 : errno;
}

// A child that waits in a new user namespace, for its namespace file.
static pid_t start_userns_holder(int *error) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
    *error = errno;
    return -1;
  }
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char result = unshare(CLONE_NEWUSER) == 0 ? 0 : (char)errno;
    if (write(pipe_fds[1], &result, 1) != 1)
      _exit(1);
    pause();
    _exit(0);
  }
  *error = child < 0 ? errno : 0;
  close(pipe_fds[1]);
  char result = 0;
  if (child > 0 && (read(pipe_fds[0], &result, 1) != 1 || result != 0))
    *error = result != 0 ? result : EIO;
  close(pipe_fds[0]);
  return child;
}

static int idmap_mount(const char *dir, pid_t holder) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/uid_map", holder);
  int error = write_file(path, "0 100000 65536");
  if (error != 0)
    return error;
  snprintf(path, sizeof path, "/proc/%d/gid_map", holder);
  error = write_file(path, "0 100000 65536");
  if (error != 0)
    return error;
  snprintf(path, sizeof path, "/proc/%d/ns/user", holder);
  int userns = open(path, O_RDONLY | O_CLOEXEC);
  if (userns < 0)
    return errno;
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, dir, PROBE_OPEN_TREE_CLONE | O_CLOEXEC);
  if (tree < 0)
    return errno;
  struct probe_mount_attr attr = {.attr_set = PROBE_MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
  return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0 ? 0 : errno;
}

static int probe_idmap(const struct context *context) {
  int error = private_mounts(context);
  if (error != 0)
    return error;
  pid_t holder = start_userns_holder(&error);
  if (holder <= 0)
    return error;
  if (error == 0)
    error = idmap_mount(context->dir, holder);
  kill(holder, SIGKILL);
  waitpid(holder, NULL, 0);
  return error;
}

static int probe_pidfd(const struct context *context) {
  (void)context;
  int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
  if (fd < 0)
    return errno;
  return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 ? 0 : errno;
}

static int probe_openat2(const struct context *context) {
  int root = open(context->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0)
    return errno;
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  return syscall(SYS_openat2, root, "../..", &how, sizeof how) >= 0 ? 0 : errno;
}

static int probe_close_range(const struct context *context) {
  (void)context;
  return syscall(SYS_close_range, 100, 200, 0) == 0 ? 0 : errno;
}

static int probe_seccomp(const struct context *context) {
  (void)context;
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = 1, .filter = &allow};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return errno;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : errno;
}

static int probe_pty(const struct context *context) {
  (void)context;
  return posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC) >= 0 ? 0 : errno;
}

struct probe {
  const char *name;
  int (*run)(const struct context *context);
};

static int run_probe(const struct probe *probe, const struct context *context) {
  pid_t child = fork();
  if (child < 0)
    return errno;
  if (child == 0)
    _exit(probe->run(context) & 0xff);
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

int main(int argc, char **argv) {
  static const struct probe probes[] = {
      {"userns", probe_userns},   {"namespaces", probe_namespaces},
      {"overlay", probe_overlay}, {"idmap", probe_idmap},
      {"pidfd", probe_pidfd},     {"openat2", probe_openat2},
      {"seccomp", probe_seccomp}, {"close_range", probe_close_range},
      {"pty", probe_pty},
  };
  if (argc != 2) {
    fputs("usage: trees-probe DIR\n", stderr);
    return 2;
  }
  struct context context = {.dir = argv[1], .uid = geteuid(), .gid = getegid()};
  for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
    int error = run_probe(&probes[i], &context);
    printf("%s %d %s\n", probes[i].name, error, error == 0 ? "ok" : strerror(error));
    fflush(stdout);
  }
  return 0;
}
