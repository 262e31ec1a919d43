#include "cgroup-members.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "cgroup-files.h"
#include "processes.h"
#include "syscalls.h"
#include "util.h"

#define MAX_PASSES 1000
#define MAX_NESTING 33 // the kernel has 32 levels of pid namespaces

// What tells processes of the container from others.
struct members {
  int proc;
  // The container's processes are some of the host's: it has a mount namespace of its own, in which whoever
  // has joined it is, too.
  bool shared;
  struct stat wanted; // the pid namespace, or that one
};

static int namespace_of(const struct members *members, const char *pid, struct stat *status) {
  char path[64];
  snprintf(path, sizeof path, "%.20s/ns/%s", pid, members->shared ? "mnt" : "pid");
  int fd = openat(members->proc, path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0 && fstat(fd, status) == 0)
    return fd;
  close_fd(&fd);
  return -1;
}

// In this pid namespace, or in one below it.
static bool is_below(const struct members *members, const char *pid) {
  const struct stat *wanted = &members->wanted;
  struct stat status;
  int fd = namespace_of(members, pid, &status);
  for (int level = 0; fd >= 0 && level < MAX_NESTING; level++) {
    if (status.st_ino == wanted->st_ino && status.st_dev == wanted->st_dev) {
      close(fd);
      return true;
    }
    int above = ioctl(fd, NS_GET_PARENT);
    close(fd);
    fd = above;
    if (fd >= 0 && (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fstat(fd, &status) != 0))
      break;
  }
  close_fd(&fd);
  return false;
}

// In this mount namespace, or with an ancestor in it.
static bool descends(const struct members *members, const char *name) {
  struct stat status;
  struct process process;
  char number[24];
  for (pid_t pid = atoi(name); pid > 1; pid = process.parent) {
    snprintf(number, sizeof number, "%d", (int)pid);
    int fd = namespace_of(members, number, &status);
    close_fd(&fd);
    if (fd >= 0 && status.st_ino == members->wanted.st_ino && status.st_dev == members->wanted.st_dev)
      return true;
    if (!process_read(members->proc, pid, &process))
      return false;
  }
  return false;
}

// A process that has not ended since is the one that was looked at.
static bool runs(int pidfd) {
  struct pollfd polled = {.fd = pidfd, .events = POLLIN};
  return poll(&polled, 1, 0) == 0;
}

static bool belongs(const struct members *members, const char *pid) {
  if (!members->shared)
    return is_below(members, pid);
  CLEANUP_FD int pidfd = sys_pidfd_open(atoi(pid));
  return pidfd >= 0 && descends(members, pid) && runs(pidfd);
}

// ID:CONTROLLERS:PATH
static bool names_controllers(const char *line, const char *controllers) {
  const char *list = strchr(line, ':');
  if (list == NULL)
    return false;
  list++;
  if (controllers[0] == '\0')
    return *list == ':';
  size_t wanted = strcspn(controllers, ",");
  for (;;) {
    size_t length = strcspn(list, ",:");
    if (length == wanted && strncmp(list, controllers, length) == 0)
      return true;
    if (list[length] != ',')
      return false;
    list += length + 1;
  }
}

// True as well for a process that is gone.
static bool is_inside(int proc, const char *pid, const char *controllers, const char *tail) {
  char path[64];
  char text[8192];
  snprintf(path, sizeof path, "%.20s/cgroup", pid);
  if (cgroup_read(proc, path, text, sizeof text) != 0)
    return true;
  size_t length = strlen(tail);
  char *rest;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    if (!names_controllers(line, controllers))
      continue;
    const char *at = strstr(line, tail);
    return at != NULL && (at[length] == '\0' || at[length] == '/');
  }
  return false;
}

// The number of processes moved, or -1.
static int pass(const struct members *members, int dir, const char *controllers, const char *tail) {
  int copy = openat(members->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *stream = copy < 0 ? NULL : fdopendir(copy);
  if (stream == NULL) {
    close_fd(&copy);
    return -1;
  }
  int moved = 0;
  for (struct dirent *entry; moved >= 0 && (entry = readdir(stream)) != NULL;) {
    const char *pid = entry->d_name;
    if (pid[0] < '1' || pid[0] > '9' || !belongs(members, pid) ||
        is_inside(members->proc, pid, controllers, tail))
      continue;
    if (cgroup_write(dir, "cgroup.procs", pid) == 0)
      moved++;
    else if (errno != ESRCH)
      moved = -1;
  }
  int error = errno;
  closedir(stream);
  errno = error;
  return moved;
}

int cgroup_move_members(int dir, pid_t init, int pidfd, const char *controllers, const char *tail) {
  char pid[24];
  CLEANUP_FD int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0)
    return -1;
  snprintf(pid, sizeof pid, "%d", (int)init);
  struct members members = {.proc = proc, .shared = pidfd >= 0};
  CLEANUP_FD int namespace = namespace_of(&members, pid, &members.wanted);
  struct stat own;
  if (namespace < 0)
    return -1;
  if (members.shared && !runs(pidfd)) {
    errno = ESRCH;
    return -1;
  }
  CLEANUP_FD int ours = namespace_of(&members, "self", &own);
  if (ours < 0 || (own.st_ino == members.wanted.st_ino && own.st_dev == members.wanted.st_dev)) {
    errno = EINVAL; // that would be the host's processes
    return -1;
  }
  for (int i = 0; i < MAX_PASSES; i++) {
    int moved = pass(&members, dir, controllers, tail);
    if (moved <= 0)
      return moved;
  }
  errno = EAGAIN;
  return -1;
}
