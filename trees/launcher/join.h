// A new process in a running container.
#pragma once
#include "container.h"
#include "exec-target.h"
#include "terminal.h"

struct joining {
  const struct target *target;
  const struct terminal *terminal;
  char **words;             // the command
  const char *user;         // NULL: as the plan has it
  const char *workdir;      // NULL: as the plan has it
  const char *const *extra; // variables that win over the plan's
  size_t extra_count;
  bool privileged;       // with all capabilities and nothing that takes them away
  bool detached;         // nobody waits for it
  unsigned preserve_fds; // descriptors 3… that it inherits
  int init_fd;           // sealed copy of trees-init, which executes the command from inside
};

// Ends the process on failure.
struct container join_start(const struct joining *joining);
