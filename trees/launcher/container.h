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
  int init_fd;           // sealed copy of trees-init
  char **command;        // replaces the plan's command; NULL-terminated, may be empty
};

struct container {
  pid_t pid;
  int pidfd;
};

// Creates the namespaces and lets the container start. Ends the process on failure.
struct container container_start(const struct launch *launch);
