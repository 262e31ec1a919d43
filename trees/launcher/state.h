// What is known about an instance on this machine: a directory with a lock that is held while it runs, the
// plan it runs by, and one text file that says how it is. Everybody may read it; only the instance's launcher
// writes.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

enum state_status {
  STATE_STARTING,
  STATE_RUNNING,
  STATE_PAUSED,
  STATE_STOPPING,
  STATE_RESTARTING, // has ended, and waits to be started again
  STATE_EXITED,
  STATE_FAILED // could not be started
};

#define STATE_TEXT 256
#define STATE_CGROUPS 2048

struct state {
  const struct plan *plan;
  int dir;      // -1: no state is kept
  int lock;     // held exclusively
  bool existed; // there was a state of an earlier run
  char id[13];  // of this run, also across restarts; 12 hexadecimal digits
  enum state_status status;
  pid_t init; // 0: none
  uint64_t init_start;
  int64_t started;  // nanoseconds since the epoch
  int64_t finished; // 0: not yet
  int exit;         // -1: not yet
  bool oom;
  uint64_t restarts;
  bool tty;
  bool detached;
  bool fuse; // fuse-overlayfs serves the tree
  bool ready;
  char health[16];
  char error[STATE_TEXT];
  char status_text[STATE_TEXT]; // what a system says about itself
  char cgroups[STATE_CGROUPS];  // CONTROLLERS:PATH, a line each
};

// Makes the directory that the plan names, and takes its lock. Ends the process with 125 when the instance is
// running.
void state_open(struct state *state, const struct plan *plan);

// Writes the file, old or new to whoever reads it.
void state_write(const struct state *state);

// Notes the container's first process and the time.
void state_started(struct state *state, pid_t init);

void state_error(struct state *state, const char *message);

void state_status_text(struct state *state, const char *text);

// Adds a line `cgroup=CONTROLLERS:PATH`.
void state_add_cgroup(struct state *state, const char *controllers, const char *path);

// The lines of the file, encoded as in answers on the control socket if `encoded`. Returns the length.
size_t state_text(const struct state *state, char *text, size_t room, bool encoded);

// Copies the plan into the directory; the copy is what restarts, joins and inspections use.
void state_keep_plan(const struct state *state, int plan_fd);

// The copy, or -1.
int state_open_plan(const struct state *state);

// Removes all of it; the lock is still held.
void state_remove(const struct state *state);

// From here on somebody else may start the instance.
void state_release(struct state *state);

int64_t state_now(void);
