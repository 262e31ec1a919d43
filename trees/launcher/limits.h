// Resource limits that only the host can raise.
#pragma once
#include <sys/types.h>

#include "plan.h"

// Raises the hard limits of a process as far as the plan asks, leaving the soft ones: inside its user
// namespace nobody may do that, and the init itself is not to be limited. What cannot be raised is reported
// by the init.
void limits_raise(pid_t pid, const struct plan *plan);
