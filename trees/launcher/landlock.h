// File access rules of a launch plan, by the kernel's Landlock.
#pragma once
#include "plan.h"

// Restricts the calling process and what comes of it; without rules in the plan, does nothing. Paths are
// opened as the caller sees them. Needs no-new-privileges or CAP_SYS_ADMIN. Ends the process on failure.
void landlock_restrict(const struct plan *plan);
