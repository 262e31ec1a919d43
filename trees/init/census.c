#include "census.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../launcher/processes.h"
#include "../launcher/util.h"
#include "scope.h"

#define MAX_ENVIRONMENT 32768 // bytes of an environment that are looked at
#define MAX_DEPTH 64          // generations between a process and the service it descends from

// The subject whose name a process carries, or -1. Where in the environment that is, is up to the shells in
// between.
static long named(int proc, pid_t pid, const struct census_subject *subjects, size_t count) {
  static char text[MAX_ENVIRONMENT]; // only as many pages as are needed
  size_t prefix = sizeof CENSUS_VARIABLE;
  ssize_t size = process_file(proc, pid, "environ", text, sizeof text);
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

// The subject that a process belongs to, or -1. The init and its own helpers belong to none.
static long owner(int proc, pid_t pid, const struct process *process, const struct census_subject *subjects,
                  size_t count) {
  struct process at = *process;
  pid_t current = pid;
  pid_t init = getpid();
  for (int depth = 0; depth < MAX_DEPTH && current > 1 && current != init; depth++) {
    for (size_t i = 0; i < count; i++)
      if (is_member(current, &at, &subjects[i]))
        return (long)i;
    current = at.parent;
    if (current <= 1 || current == init || !process_read(proc, current, &at))
      break;
  }
  return named(proc, pid, subjects, count);
}

bool census_belongs(pid_t pid, const struct census_subject *subject) {
  CLEANUP_FD int proc = scope_open_proc();
  struct process process;
  return proc >= 0 && pid > 1 && scope_has(proc, pid) && process_read(proc, pid, &process) &&
         owner(proc, pid, &process, subject, 1) == 0;
}

bool census_is_child(pid_t pid) {
  CLEANUP_FD int proc = scope_open_proc();
  struct process process;
  return proc >= 0 && process_read(proc, pid, &process) && process.parent == getpid();
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

struct counting {
  int proc;
  struct census_subject *subjects;
  size_t count;
};

static void count_one(void *context, pid_t pid) {
  const struct counting *counting = context;
  struct process process;
  if (pid == getpid() || !scope_has(counting->proc, pid) || !process_read(counting->proc, pid, &process) ||
      process.state == 'Z' || process.state == 'X')
    return;
  long found = owner(counting->proc, pid, &process, counting->subjects, counting->count);
  if (found < 0)
    return;
  struct census_subject *subject = &counting->subjects[found];
  subject->count++;
  if (subject->sig == 0)
    return;
  scope_signal_one(counting->proc, pid, subject->sig);
  scope_signal_one(counting->proc, pid, SIGCONT); // a stopped process cannot act on it
}

void census_take(struct census_subject *subjects, size_t count) {
  CLEANUP_FD int proc = scope_open_proc();
  struct counting counting = {.proc = proc, .subjects = subjects, .count = count};
  for (size_t i = 0; i < count; i++)
    subjects[i].count = 0;
  if (proc >= 0)
    processes_each(proc, count_one, &counting);
}
