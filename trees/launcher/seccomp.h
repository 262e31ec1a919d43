// The system call filter of a launch plan.
#pragma once
#include "plan.h"

// Installs it for the calling process and what comes of it; without one in the plan, does nothing. Needs
// no-new-privileges or CAP_SYS_ADMIN. Ends the process on failure.
void seccomp_install(const struct plan *plan);
