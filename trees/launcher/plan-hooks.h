// Section HOOKS of the launch plan: commands around the container's life.
#pragma once
#include <stdint.h>

#include "plan-security.h" // struct plan_words

#define PLAN_MAX_HOOKS 64u
#define PLAN_MAX_HOOK_WORDS 256u

enum plan_hook_phase {
  PLAN_HOOK_PRESTART = 1, // on the host, when the namespaces are there and nothing has been executed in them
  PLAN_HOOK_POSTSTOP,     // on the host, when no process of the container is left, however that came
  PLAN_HOOK_INIT, // in the container as its root, before the command; it is not executed if this fails
  PLAN_HOOK_STOP, // in the container, in place of the stop signal
  PLAN_HOOK_END
};

struct plan_hook {
  uint32_t phase;
  uint32_t timeout; // milliseconds after which it is killed and has failed; 0: never
  struct plan_words command;
};
