// Control groups: limits, and everything else that concerns all processes of a container at once.
//
// A container has one cgroup, <base>/trees/<name>, in each hierarchy that has a controller with a limit, and
// none where nothing is limited: joining costs at the start (version 1: up to 15 ms after a quiet time) and
// some controllers while it runs. Its launcher holds flock(2) on each directory; one that nobody has locked
// is stale.
//
// What can fail returns NULL or what is wrong (valid until the next call): a monitor must not die of it.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "plan.h"

#define CGROUPS_MAX (PLAN_MAX_CGROUPS + 2) // with those made for pausing and changing limits later

struct cgroup {
  uint32_t version;
  int dir;                 // locked
  int parent;              // <base>/trees
  char name[160];          // in it
  char *path;              // of the directory, for the state file and for messages
  const char *controllers; // separated by commas; empty for version 2, as in /proc/PID/cgroup
};

struct cgroups {
  int init; // pidfd of the init where its pid namespace is the host's; else -1
  size_t count;
  struct cgroup list[CGROUPS_MAX];
};

// Version 2, before the container is created: makes its cgroup and sets the limits.
const char *cgroups_prepare(const struct plan *plan, struct cgroups *cgroups);

// Descriptor for CLONE_INTO_CGROUP, or -1.
int cgroups_clone_into(const struct cgroups *cgroups);

// Version 1, while the container builds its file systems: makes the cgroups, sets the limits and moves the
// container's only process in. The container may execute something only after it.
const char *cgroups_attach(const struct plan *plan, struct cgroups *cgroups, pid_t pid);

// Makes sure that every process of the container is in a cgroup below `base` that has these controllers
// (separated by commas; "" for version 2 without any), for what was not asked for at the start.
const char *cgroups_join(struct cgroups *cgroups, uint32_t version, const char *base, const char *controllers,
                         const char *name, pid_t init, size_t *index);

// Whether one of them can.
bool cgroups_can_freeze(const struct cgroups *cgroups);

// Stops all processes where they are, or lets them go on. `cgroups_join` comes first where there is no cgroup
// that can.
const char *cgroups_freeze(const struct cgroups *cgroups, bool frozen);

// How often the kernel killed a process of the container because of its memory limit.
unsigned long cgroups_oom_kills(const struct cgroups *cgroups);

// When the container has ended: says so if the kernel killed processes for want of memory (true then), and
// removes them.
bool cgroups_finish(struct cgroups *cgroups);

// Kills what is left in them and removes them. What cannot be removed is left to the next
// one that looks, with a warning.
void cgroups_remove(struct cgroups *cgroups);
