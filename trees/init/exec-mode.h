// trees-init as the last step of joining a running container: it executes one command and is no init.
#pragma once
#include "../launcher/plan.h"

// Whether trees-launch asked for that: what is to be different from the plan's own command is in the
// environment.
const char *exec_mode(void);

// Becomes the command. Does not return.
_Noreturn void exec_mode_execute(const struct plan *plan, char **words);
