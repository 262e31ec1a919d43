// Section of the launch plan: what the instance is called, where its state is kept and what happens when it
// ends.
#pragma once
#include <stdint.h>

enum plan_restart {
  PLAN_RESTART_NO,
  PLAN_RESTART_ON_FAILURE,
  PLAN_RESTART_ALWAYS,
  PLAN_RESTART_UNLESS_STOPPED, // as always; it differs for whoever starts instances at boot
  PLAN_RESTART_END
};

enum plan_supervision_flag {
  PLAN_SUPERVISION_TTY = 1 << 0, // a terminal of its own, as with --tty
  PLAN_SUPERVISION_TTY_AUTO =
      1 << 1,                       // the same if standard input and output are terminals (exported commands)
  PLAN_SUPERVISION_STDIN = 1 << 2,  // detached: standard input stays open for whoever attaches
  PLAN_SUPERVISION_REMOVE = 1 << 3, // nothing of run_dir is left when it has ended
  PLAN_SUPERVISION_FLAGS = (1 << 4) - 1
};

struct plan_supervision {
  uint32_t name; // strings: one path component, or absent without a run_dir
  uint32_t app;
  uint32_t run_dir; // absolute; absent: no state is kept, nobody can reach the instance
  uint32_t flags;
  uint64_t generation;
  uint32_t restart;       // enum plan_restart
  uint32_t restart_max;   // restarts in a row; 0: no limit
  uint32_t restart_delay; // milliseconds before the first restart; doubled each time
  uint32_t restart_max_delay;
  uint32_t restart_reset; // milliseconds of running after which the count and the delay start again
  uint32_t stop_signal;   // of `stop`; 0: TERM
  uint32_t stop_timeout;  // milliseconds between it and KILL
  uint32_t reserved;
};
