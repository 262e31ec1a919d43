// The container's first process: created in its namespaces, it builds its own world and becomes the init.
#pragma once
#include <sys/types.h>

#include "cgroup.h"
#include "plan.h"
#include "sources.h"
#include "streams.h"
#include "terminal.h"
#include "tree-server.h"

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
  int proc_fd;           // the init's where it shares the host's pid namespace; else -1
  char **command;        // replaces the plan's command; NULL-terminated, may be empty
};

struct container {
  pid_t pid;
  int pidfd;
  struct tree_server tree;
  int notify; // gets what process 1 says by sd_notify(3); -1: it is not asked to
  // Where the pid namespace is the host's (keeper.h):
  pid_t keeper;      // 0: none
  bool keeper_stays; // beyond the end of the process
  int told;          // readable when it has ended
};

// Creates the container's first process, and lets it start when all that it needs is there. `container` is
// set as soon as there is one. Ends the process on failure.
void container_start(struct launch *launch, struct container *container);

// Becomes readable when the container has ended, with everything in it.
int container_end_descriptor(const struct container *container);

// Waits for that. Returns the wait status of its first process (waitpid(2)); -1 and errno on failure.
int container_wait(struct container *container);
