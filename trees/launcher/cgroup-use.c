// What is done with cgroups that are there.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cgroup-files.h"
#include "cgroup.h"
#include "util.h"

#define REMOVE_PATIENCE 2000 // milliseconds that processes get to be gone in
#define FREEZE_PATIENCE 5000

static void pause_for(long milliseconds) {
  struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static bool reached(const struct cgroup *cgroup, bool frozen) {
  char text[32];
  if (cgroup->version == 2)
    return cgroup_number(cgroup->dir, "cgroup.events", "frozen", 0) == (frozen ? 1 : 0);
  return cgroup_read(cgroup->dir, "freezer.state", text, sizeof text) == 0 &&
         strcmp(text, frozen ? "FROZEN\n" : "THAWED\n") == 0;
}

static const char *freeze_one(const struct cgroup *cgroup, bool frozen) {
  const char *file = cgroup->version == 2 ? "cgroup.freeze" : "freezer.state";
  const char *value = cgroup->version == 2 ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED");
  for (int waited = 0; waited < FREEZE_PATIENCE; waited += 5) {
    // Version 1 may have to be asked again: processes that were forking escaped.
    if (cgroup_write(cgroup->dir, file, value) != 0)
      return cgroup_problem("cannot set %s of %s", file, cgroup->path);
    if (reached(cgroup, frozen))
      return NULL;
    pause_for(5);
  }
  errno = ETIMEDOUT;
  const char *failed = cgroup_problem("cannot stop every process of %s", cgroup->path);
  if (frozen)
    cgroup_write(cgroup->dir, file, cgroup->version == 2 ? "0" : "THAWED");
  return failed;
}

static bool can_freeze(const struct cgroup *cgroup) {
  return cgroup->version == 2 || strstr(cgroup->controllers, "freezer") != NULL;
}

bool cgroups_can_freeze(const struct cgroups *cgroups) {
  for (size_t i = 0; i < cgroups->count; i++)
    if (can_freeze(&cgroups->list[i]))
      return true;
  return false;
}

const char *cgroups_freeze(const struct cgroups *cgroups, bool frozen) {
  for (size_t i = 0; i < cgroups->count; i++)
    if (can_freeze(&cgroups->list[i]))
      return freeze_one(&cgroups->list[i], frozen);
  return frozen ? "there is no cgroup to pause it with" : NULL;
}

unsigned long cgroups_oom_kills(const struct cgroups *cgroups) {
  unsigned long kills = 0;
  for (size_t i = 0; i < cgroups->count; i++) {
    const struct cgroup *cgroup = &cgroups->list[i];
    if (cgroup->version == 2)
      kills += cgroup_number(cgroup->dir, "memory.events", "oom_kill", 0);
    else if (strstr(cgroup->controllers, "memory") != NULL)
      kills += cgroup_number(cgroup->dir, "memory.oom_control", "oom_kill", 0);
  }
  return kills;
}

static void remove_one(const struct cgroup *cgroup) {
  // What is frozen does not end; and what is left is not supposed to be.
  if (can_freeze(cgroup))
    cgroup_write(cgroup->dir, cgroup->version == 2 ? "cgroup.freeze" : "freezer.state",
                 cgroup->version == 2 ? "0" : "THAWED");
  if (cgroup->version == 2)
    cgroup_write(cgroup->dir, "cgroup.kill", "1"); // Linux 5.14
  for (int waited = 0, step = 1; cgroup_remove(cgroup->parent, cgroup->name) != 0; waited += step) {
    if (errno != EBUSY || waited >= REMOVE_PATIENCE) {
      warning_errno("cannot remove the cgroup %s", cgroup->path);
      return;
    }
    // The last process is reaped before the kernel has let go of it.
    pause_for(step);
    step = step < 50 ? step * 2 : step;
  }
}

void cgroups_remove(struct cgroups *cgroups) {
  for (size_t i = cgroups->count; i-- > 0;) {
    struct cgroup *cgroup = &cgroups->list[i];
    remove_one(cgroup);
    close_fd(&cgroup->dir);
    close_fd(&cgroup->parent);
    free(cgroup->path);
    if (cgroup->version == 1)
      free((char *)(uintptr_t)cgroup->controllers);
  }
  cgroups->count = 0;
  die_set_cleanup(NULL);
}

bool cgroups_finish(struct cgroups *cgroups) {
  unsigned long kills = cgroups_oom_kills(cgroups);
  if (kills > 0)
    warning("the container reached its memory limit: the kernel killed %lu of its processes", kills);
  cgroups_remove(cgroups);
  return kills > 0;
}
