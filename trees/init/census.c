#include "census.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../launcher/util.h"

#define MAX_ENVIRONMENT 32768 // bytes of an environment that are looked at
#define MAX_DEPTH 64          // generations between a process and the service it descends from

struct process {
  pid_t parent;
  pid_t group;
  pid_t session;
  char state;
};

static ssize_t read_file(pid_t pid, const char *name, char *text, size_t room) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
  size_t size = 0;
  ssize_t count = fd < 0 ? -1 : 0;
  while (fd >= 0 && size < room - 1 && (count = RETRY(read(fd, text + size, room - 1 - size))) > 0)
    size += (size_t)count;
  text[size] = '\0';
  return count < 0 && size == 0 ? -1 : (ssize_t)size;
}

// proc_pid_stat(5). The name, in parentheses, may contain anything, parentheses included.
static bool look_up(pid_t pid, struct process *process) {
  char text[512];
  int parent;
  int group;
  int session;
  if (read_file(pid, "stat", text, sizeof text) <= 0)
    return false;
  const char *after = strrchr(text, ')');
  if (after == NULL || sscanf(after + 1, " %c %d %d %d", &process->state, &parent, &group, &session) != 4)
    return false;
  process->parent = parent;
  process->group = group;
  process->session = session;
  return true;
}

// The subject whose name a process carries, or -1. Where in the environment that is, is up to the shells in
// between.
static long named(pid_t pid, const struct census_subject *subjects, size_t count) {
  static char text[MAX_ENVIRONMENT]; // only as many pages as are needed
  size_t prefix = sizeof CENSUS_VARIABLE;
  ssize_t size = read_file(pid, "environ", text, sizeof text);
  for (const char *at = text; at - text < size; at += strlen(at) + 1) {
    if (strncmp(at, CENSUS_VARIABLE "=", prefix) != 0)
      continue;
    for (size_t i = 0; i < count; i++)
      if (subjects[i].session != 0 && strcmp(at + prefix, subjects[i].name) == 0)
        return (long)i;
    return -1;
  }
  return -1;
}

static bool is_member(pid_t pid, const struct process *process, const struct census_subject *subject) {
  pid_t own = subject->session;
  if (subject->all)
    return true;
  return own != 0 && (pid == own || process->session == own || process->group == own);
}

// The subject that a process belongs to, or -1. PID 1 and its own helpers belong to none.
static long owner(pid_t pid, const struct process *process, const struct census_subject *subjects,
                  size_t count) {
  struct process at = *process;
  pid_t current = pid;
  for (int depth = 0; depth < MAX_DEPTH && current > 1; depth++) {
    for (size_t i = 0; i < count; i++)
      if (is_member(current, &at, &subjects[i]))
        return (long)i;
    current = at.parent;
    if (current <= 1 || !look_up(current, &at))
      break;
  }
  return named(pid, subjects, count);
}

bool census_belongs(pid_t pid, const struct census_subject *subject) {
  struct process process;
  return pid > 1 && look_up(pid, &process) && owner(pid, &process, subject, 1) == 0;
}

bool census_is_child(pid_t pid) {
  struct process process;
  return look_up(pid, &process) && process.parent == 1;
}

pid_t census_read_pid(const char *path) {
  char text[32];
  // Anything may be there: it must not block.
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  ssize_t size = fd < 0 ? -1 : RETRY(read(fd, text, sizeof text - 1));
  if (size <= 0)
    return 0;
  text[size] = '\0';
  return (pid_t)atoi(text);
}

struct entry { // linux_dirent64
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

static void count_one(pid_t pid, struct census_subject *subjects, size_t count) {
  struct process process;
  if (!look_up(pid, &process) || process.state == 'Z' || process.state == 'X')
    return;
  long found = owner(pid, &process, subjects, count);
  if (found < 0)
    return;
  struct census_subject *subject = &subjects[found];
  subject->count++;
  if (subject->sig == 0)
    return;
  kill(pid, subject->sig);
  kill(pid, SIGCONT); // a stopped process cannot act on it
}

void census_take(struct census_subject *subjects, size_t count) {
  _Alignas(struct entry) char buffer[8192]; // readdir(3) would allocate
  for (size_t i = 0; i < count; i++)
    subjects[i].count = 0;
  CLEANUP_FD int directory = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    return;
  for (;;) {
    long size = RETRY(syscall(SYS_getdents64, directory, buffer, sizeof buffer));
    if (size <= 0)
      return;
    for (long at = 0; at < size;) {
      const struct entry *entry = (const struct entry *)(void *)(buffer + at);
      int pid = atoi(entry->name); // 0 for everything but processes
      if (pid > 1)
        count_one((pid_t)pid, subjects, count);
      at += entry->length;
    }
  }
}
