#include "cgroup-scope.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "cgroup-files.h"
#include "plan-cgroup.h"
#include "util.h"

#define PATIENCE 5000 // milliseconds

// StartTransientUnit answers when the job is queued; busctl is systemd's own, so it is there where systemd
// is.
static void ask(const char *unit, uint32_t scope) {
  char pid[24];
  char runtime[64];
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  snprintf(runtime, sizeof runtime, "XDG_RUNTIME_DIR=/run/user/%u", (unsigned)geteuid());
  const char *argv[] = {"busctl",
                        scope == PLAN_CGROUP_SCOPE_USER ? "--user" : "--system",
                        "--quiet",
                        "call",
                        "org.freedesktop.systemd1",
                        "/org/freedesktop/systemd1",
                        "org.freedesktop.systemd1.Manager",
                        "StartTransientUnit",
                        "ssa(sv)a(sa(sv))",
                        unit,
                        "fail",
                        "3",
                        "PIDs",
                        "au",
                        "1",
                        pid,
                        "Delegate",
                        "b",
                        "true",
                        "CollectMode",
                        "s",
                        "inactive-or-failed",
                        "0",
                        NULL};
  char *env[] = {runtime, NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t child;
  int status;
  int error = posix_spawn(&child, "/usr/bin/busctl", &actions, NULL, (char *const *)(uintptr_t)argv, env);
  posix_spawn_file_actions_destroy(&actions);
  errno = error;
  if (error != 0)
    die_errno("cannot limit the container: asking systemd for a scope: /usr/bin/busctl");
  if (RETRY(waitpid(child, &status, 0)) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    die("cannot limit the container: systemd gave no scope (%s)", unit);
}

// The line of version 2 is `0::PATH`.
static bool own_cgroup(char path[PATH_MAX]) {
  char text[8192];
  if (cgroup_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof text) != 0)
    return false;
  char *rest;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
    if (strncmp(line, "0::", 3) == 0) {
      snprintf(path, PATH_MAX, "%s", line + 3);
      return true;
    }
  return false;
}

static bool ends_with(const char *path, const char *unit) {
  const char *name = strrchr(path, '/');
  return name != NULL && strcmp(name + 1, unit) == 0;
}

const char *cgroup_scope_enter(const char *mount, const char *name, uint32_t scope) {
  char unit[200];
  char path[PATH_MAX];
  char pid[24];
  snprintf(unit, sizeof unit, "trees-%.128s-%d.scope", name, (int)getpid());
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  ask(unit, scope);
  for (int waited = 0; !own_cgroup(path) || !ends_with(path, unit); waited++) {
    if (waited >= PATIENCE)
      die("cannot limit the container: systemd has not moved trees-launch into %s", unit);
    struct timespec millisecond = {.tv_nsec = 1000000};
    nanosleep(&millisecond, NULL);
  }
  size_t size = strlen(mount) + strlen(path) + 1;
  char *directory = malloc(size);
  if (directory == NULL)
    die_errno("cannot start");
  snprintf(directory, size, "%s%s", mount, path);
  // A cgroup that passes controllers on may not have processes itself.
  CLEANUP_FD int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0 || (mkdirat(dir, "launcher", 0755) != 0 && errno != EEXIST) ||
      cgroup_write(dir, "launcher/cgroup.procs", pid) != 0)
    die_errno("cannot limit the container: %s/launcher", directory);
  return directory;
}
