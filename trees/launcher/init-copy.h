// Programs that containers can get to see, in a form that they cannot write to: what is reached through
// /proc/1/exe must not be the file that the next container starts from (CVE-2019-5736).
#pragma once
#include "plan.h"

// trees-init for a container: its own file, on a read-only mount, where nobody in there can have the right to
// write to it, which is quicker; otherwise a sealed copy. `before` is what the start before this one used, or
// -1: the program stays the same. Ends the process on failure.
int init_open(const struct plan *plan, int before);

// A sealed copy of trees-init in memory. Ends the process on failure.
int init_copy(void);

// The same of the program that is running.
int launcher_copy(void);
