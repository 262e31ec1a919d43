// Where a container shares the host's pid namespace, the kernel does not end what its first process leaves
// behind. A process between the launcher and that one does: what has lost its parent in there becomes its
// child (PR_SET_CHILD_SUBREAPER), and it signals nothing but its children. It ends them when the container
// ends, and when the launcher does, however that happens; the init does the same when the keeper ends.
#pragma once
#include "container.h"

struct keeping {
  // Creates the process, a child of the caller, with a pidfd. -1 and errno on failure.
  pid_t (*create)(void *context, int *pidfd);
  void *context;
  // Of a command that joins a container: pidfd of the container's init, which what it leaves behind lives as
  // long as. -1: that ends with it.
  int until;
};

// A descriptor of /proc that shows all processes of this pid namespace, whatever the host's own one hides.
// Ends the process on failure.
int keeper_proc(void);

// `pid` is -1 on failure, with errno, or 0 where the keeper has said why.
struct container keeper_start(const struct keeping *keeping);

// The process has all that it needs: from here on it may be waited for, and its number become another one's.
void keeper_started(const struct container *container);

// Sends a signal to the process group that the process leads, or to the process where it leads none.
void keeper_signal_group(const struct container *container, int sig);

// How the process ended, as waitpid(2) tells; of a container itself when nothing of it is left.
int keeper_wait(struct container *container);
