// Commands that the caller wants to be run on the host around a container's life. The state of the container
// is on their standard input, as the OCI runtime specification has it for hooks.
#pragma once
#include <sys/types.h>

#include "plan.h"

// Runs those of a phase on the host one after the other; `pid` is the container's init, 0 when there is none
// any more. Those after the end run only if those before the start have been, once. Returns NULL, or what
// failed; the rest does not run then, but after the end all do.
const char *hooks_run(const struct plan *plan, enum plan_hook_phase phase, pid_t pid);

// The words of the only hook of a phase, terminated by NULL and allocated; NULL: there is none.
char **hooks_command(const struct plan *plan, enum plan_hook_phase phase);
