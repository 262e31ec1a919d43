#include "detach.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "syscalls.h"
#include "util.h"

_Noreturn static void wait_for(pid_t monitor, int started, const char *name) {
  char byte;
  char line[512];
  if (RETRY(read(started, &byte, 1)) == 1) {
    int length = snprintf(line, sizeof line, "%s\n", name);
    write_all(STDOUT_FILENO, line, (size_t)length);
    _exit(0);
  }
  int status;
  if (RETRY(waitpid(monitor, &status, 0)) < 0)
    die_errno("cannot wait for the monitor");
  if (WIFSIGNALED(status))
    die("the monitor was ended by signal %d", WTERMSIG(status));
  _exit(WEXITSTATUS(status));
}

static void use_null(int fd) {
  CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, fd) != fd)
    die_errno("cannot open /dev/null");
}

static bool is_kept(int fd, const int *keep, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (keep[i] == fd)
      return true;
  return false;
}

// A pipe of the caller's that stays open here would keep whoever reads it waiting for as long as the instance
// runs.
static void close_others(const int *keep, size_t count, int own) {
  int last = own;
  for (size_t i = 0; i < count; i++)
    last = keep[i] > last ? keep[i] : last;
  for (int fd = 3; fd <= last; fd++)
    if (fd != own && !is_kept(fd, keep, count))
      close(fd);
  sys_close_range((unsigned)last + 1, ~0u, 0);
}

struct detached detach(const char *name, const int *keep, size_t count) {
  int ends[2];
  if (name[0] == '\0')
    die("cannot detach: the launch plan has no directory for the instance's state");
  if (pipe2(ends, O_CLOEXEC) != 0)
    die_errno("cannot detach: pipe");
  // With an ignored SIGCHLD, inherited, its exit status would be lost.
  signal(SIGCHLD, SIG_DFL);
  pid_t monitor = fork();
  if (monitor < 0)
    die_errno("cannot detach: fork");
  if (monitor > 0) {
    close(ends[1]);
    wait_for(monitor, ends[0], name);
  }
  close(ends[0]);
  close_others(keep, count, ends[1]);
  setsid();
  umask(022);
  if (chdir("/") != 0)
    die_errno("cannot change to /");
  // Standard error is the caller's until the instance has started.
  use_null(STDIN_FILENO);
  use_null(STDOUT_FILENO);
  return (struct detached){.started = ends[1]};
}

void detach_started(struct detached *detached) {
  if (detached->started < 0)
    return;
  use_null(STDERR_FILENO);
  (void)!write(detached->started, "", 1);
  close(detached->started);
  detached->started = -1;
}
