#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "syscalls.h"
#include "util.h"

#define MAX_DEPTH 1024 // generations; deeper ones are reached when those above them have ended

ssize_t process_file(int proc, pid_t pid, const char *name, char *text, size_t room) {
  char path[64];
  snprintf(path, sizeof path, "%d/%s", (int)pid, name);
  CLEANUP_FD int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  size_t size = 0;
  ssize_t count = fd < 0 ? -1 : 0;
  while (fd >= 0 && size < room - 1 && (count = RETRY(read(fd, text + size, room - 1 - size))) > 0)
    size += (size_t)count;
  text[size] = '\0';
  return count < 0 && size == 0 ? -1 : (ssize_t)size;
}

// proc_pid_stat(5). The name, in parentheses, may contain anything, parentheses included.
bool process_read(int proc, pid_t pid, struct process *process) {
  char text[512];
  int parent;
  int group;
  int session;
  if (process_file(proc, pid, "stat", text, sizeof text) <= 0)
    return false;
  const char *after = strrchr(text, ')');
  if (after == NULL || sscanf(after + 1, " %c %d %d %d", &process->state, &parent, &group, &session) != 4)
    return false;
  process->parent = parent;
  process->group = group;
  process->session = session;
  return true;
}

struct entry { // linux_dirent64
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

void processes_each(int proc, process_visit *visit, void *context) {
  _Alignas(struct entry) char buffer[8192]; // readdir(3) would allocate
  CLEANUP_FD int directory = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    return;
  for (;;) {
    long size = RETRY(syscall(SYS_getdents64, directory, buffer, sizeof buffer));
    if (size <= 0)
      return;
    for (long at = 0; at < size;) {
      const struct entry *entry = (const struct entry *)(void *)(buffer + at);
      int pid = atoi(entry->name); // 0 for everything but processes
      if (pid > 0)
        visit(context, (pid_t)pid);
      at += entry->length;
    }
  }
}

static pid_t parent_of(int proc, pid_t pid) {
  struct process process;
  return process_read(proc, pid, &process) ? process.parent : 0;
}

// An orphan goes to a process above it, which is older: a parent of the same number as before is the same
// one.
bool process_descends(int proc, pid_t pid, pid_t ancestor) {
  pid_t chain[MAX_DEPTH];
  size_t depth = 0;
  for (pid_t at = pid; at != ancestor; at = chain[depth++])
    if (depth == MAX_DEPTH || (chain[depth] = parent_of(proc, at)) <= 0)
      return false;
  for (size_t i = 0; i < depth; i++)
    if (parent_of(proc, i == 0 ? pid : chain[i - 1]) != chain[i])
      return false;
  return depth > 0;
}

void process_signal_own(int proc, pid_t pid, int sig) {
  CLEANUP_FD int pidfd = sys_pidfd_open(pid);
  struct pollfd polled = {.fd = pidfd, .events = POLLIN};
  // Not ended after what was read: it was read of this one.
  if (pidfd >= 0 && process_descends(proc, pid, getpid()) && poll(&polled, 1, 0) == 0)
    sys_pidfd_send_signal(pidfd, sig);
}

struct signalling {
  int proc;
  int sig;
};

static void signal_descendant(void *context, pid_t pid) {
  const struct signalling *signalling = context;
  process_signal_own(signalling->proc, pid, signalling->sig);
}

// The number of a child is its own until its parent has waited for it, which is the caller.
static void signal_child(void *context, pid_t pid) {
  const struct signalling *signalling = context;
  if (parent_of(signalling->proc, pid) == getpid())
    kill(pid, signalling->sig);
}

// False where the kernel does not list them (CONFIG_PROC_CHILDREN).
static bool signal_children(int proc, int sig) {
  char text[4096];
  char name[32];
  size_t used = 0;
  ssize_t count;
  snprintf(name, sizeof name, "%d/task/%d/children", (int)getpid(), (int)getpid());
  CLEANUP_FD int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  while ((count = RETRY(read(fd, text + used, sizeof text - 1 - used))) > 0) {
    char *at = text;
    used += (size_t)count;
    text[used] = '\0';
    // Each number has a space behind it; what has none yet goes on in what is read next.
    for (char *end; (end = strchr(at, ' ')) != NULL; at = end + 1) {
      int pid = atoi(at);
      if (pid > 1)
        kill(pid, sig);
    }
    used = strlen(at);
    memmove(text, at, used);
  }
  return true;
}

void processes_signal_own(int proc, int sig) {
  struct signalling signalling = {.proc = proc, .sig = sig};
  if (sig != SIGKILL)
    processes_each(proc, signal_descendant, &signalling);
  else if (!signal_children(proc, sig))
    processes_each(proc, signal_child, &signalling);
}
