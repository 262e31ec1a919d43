// The container's first process: created in its namespaces, it builds its own world and becomes the init.
#pragma once
#include <sys/types.h>

#include "cgroup.h"
#include "plan.h"
#include "sources.h"
#include "streams.h"
#include "terminal.h"

struct launch {
  const struct plan *plan;
  struct sources *sources;
  struct cgroups *cgroups; // made at the start; the caller removes them when the container has ended
  const struct terminal *terminal;
  const struct streams *streams;
  int channel_fd;        // the init's end; -1: none
  unsigned preserve_fds; // descriptors 3… are the command's
  unsigned listen_fds;   // and so many of them sockets (sd_listen_fds(3))
  int plan_fd;           // inherited by the init
  int init_fd;           // of init_open(); -1: not yet
  char **command;        // replaces the plan's command; NULL-terminated, may be empty
};

struct container {
  pid_t pid;
  int pidfd;
  int notify; // gets what process 1 says by sd_notify(3); -1: it is not asked to
};

// Creates the container's first process, and lets it start when all that it needs is there. `container` is
// set as soon as there is one. Ends the process on failure.
void container_start(struct launch *launch, struct container *container);
