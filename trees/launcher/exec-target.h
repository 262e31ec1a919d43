// A running instance, as somebody finds it who wants to join it.
#pragma once
#include <limits.h>
#include <sys/types.h>

#include "plan.h"

#define TARGET_CGROUPS 16

struct target {
  const char *name; // of the run directory, for messages
  struct plan plan; // what it was started from
  int plan_fd;
  pid_t init;
  int pidfd;              // of that process and no later one
  unsigned namespaces;    // CLONE_NEW* that it has of its own, but for the pid namespace
  int unified;            // its cgroup of version 2, or -1
  char unified_tail[192]; // how its path ends: /trees/NAME
  size_t count;           // those of version 1
  int cgroups[TARGET_CGROUPS];
};

// Reads the state in `directory` and opens what it names. Ends the process with 125 unless the instance runs.
void target_open(const char *directory, struct target *target);
