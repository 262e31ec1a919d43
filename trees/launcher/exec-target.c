#include "exec-target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup-files.h"
#include "state-text.h"
#include "syscalls.h"
#include "util.h"

#define MAX_STATE 16384

struct found {
  char text[MAX_STATE];
  const char *boot;
  const char *status;
  const char *init;
  const char *init_start;
};

// The instance's name: what run directories are called by.
static const char *name_of(const char *directory) {
  const char *slash = strrchr(directory, '/');
  return slash == NULL || slash[1] == '\0' ? directory : slash + 1;
}

static void open_cgroup(struct target *target, const char *value) {
  const char *path = strchr(value, ':');
  if (path == NULL)
    return;
  int dir = open(path + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (dir < 0)
    die_errno("cannot join %s: its cgroup %s", target->name, path + 1);
  const char *name = strrchr(path, '/');
  if (value[0] == ':' && name != NULL) {
    target->unified = dir;
    snprintf(target->unified_tail, sizeof target->unified_tail, "/trees%s", name);
  } else if (target->count < TARGET_CGROUPS) {
    target->cgroups[target->count++] = dir;
  }
}

static void read_state(int directory, struct target *target, struct found *found) {
  static const char none[] = "";
  *found = (struct found){.boot = none, .status = none, .init = none, .init_start = none};
  if (cgroup_read(directory, "state", found->text, sizeof found->text) != 0)
    die_errno("cannot find the instance %s", target->name);
  char *rest;
  for (char *line = strtok_r(found->text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    char *value = strchr(line, '=');
    if (value == NULL)
      continue;
    *value++ = '\0';
    if (strcmp(line, "boot") == 0)
      found->boot = value;
    else if (strcmp(line, "status") == 0)
      found->status = value;
    else if (strcmp(line, "init") == 0)
      found->init = value;
    else if (strcmp(line, "init-start") == 0)
      found->init_start = value;
    else if (strcmp(line, "cgroup") == 0)
      open_cgroup(target, value);
  }
}

static bool same_boot(const char *boot) {
  char current[64];
  if (cgroup_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", current, sizeof current) != 0)
    return true;
  current[strcspn(current, "\n")] = '\0';
  return strcmp(current, boot) == 0;
}

// The process is opened first: it is the one that was meant if its start is the one noted, and stays that.
static void open_init(struct target *target, const struct found *found) {
  bool runs = strcmp(found->status, "running") == 0 || strcmp(found->status, "stopping") == 0;
  target->init = atoi(found->init);
  target->pidfd = runs && target->init > 0 && same_boot(found->boot) ? sys_pidfd_open(target->init) : -1;
  if (strcmp(found->status, "paused") == 0)
    die("cannot join %s: it is paused", target->name);
  if (target->pidfd < 0 || state_process_start(target->init) != strtoull(found->init_start, NULL, 10))
    die("cannot join %s: it is not running", target->name);
}

// An init that manages cgroups (systemd) passes controllers on to some below the container's own, which may
// have no processes itself then: whoever joins goes where the init is.
static void follow_init(struct target *target) {
  char path[64];
  char text[8192];
  snprintf(path, sizeof path, "/proc/%d/cgroup", (int)target->init);
  if (target->unified < 0 || cgroup_read(AT_FDCWD, path, text, sizeof text) != 0)
    return;
  char *rest;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    const char *own = strncmp(line, "0::", 3) == 0 ? strstr(line, target->unified_tail) : NULL;
    if (own == NULL || own[strlen(target->unified_tail)] != '/')
      continue;
    int dir =
        openat(target->unified, own + strlen(target->unified_tail) + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
      die_errno("cannot join %s: the cgroup of its init", target->name);
    close(target->unified);
    target->unified = dir;
  }
}

static bool has_own(pid_t pid, const char *namespace) {
  char path[64];
  char own[64];
  struct stat theirs;
  struct stat ours;
  snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, namespace);
  snprintf(own, sizeof own, "/proc/self/ns/%s", namespace);
  return stat(path, &theirs) == 0 && stat(own, &ours) == 0 &&
         (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev);
}

static unsigned own_namespaces(pid_t pid) {
  static const struct {
    const char *name;
    unsigned flag;
  } namespaces[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},        {"ipc", CLONE_NEWIPC},
                    {"uts", CLONE_NEWUTS},   {"cgroup", CLONE_NEWCGROUP}, {"net", CLONE_NEWNET},
                    {"time", CLONE_NEWTIME}};
  unsigned flags = 0;
  for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++)
    if (has_own(pid, namespaces[i].name))
      flags |= namespaces[i].flag;
  return flags;
}

void target_open(const char *path, struct target *target) {
  struct found found;
  *target = (struct target){.name = name_of(path), .unified = -1, .pidfd = -1};
  CLEANUP_FD int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    die_errno("cannot find the instance %s", target->name);
  read_state(directory, target, &found);
  open_init(target, &found);
  follow_init(target);
  target->plan_fd = openat(directory, "plan", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (target->plan_fd < 0)
    die_errno("cannot join %s: its launch plan", target->name);
  const char *problem = plan_map(target->plan_fd, &target->plan);
  if (problem != NULL)
    die("cannot join %s: its launch plan: %s", target->name, problem);
  target->namespaces = own_namespaces(target->init);
}
