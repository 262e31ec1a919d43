// Settings of the kernel that the container's namespaces have for themselves.
#pragma once
#include "plan.h"

// Writes the plan's settings and the offsets of the container's clocks through `proc`, a procfs of the
// container's that nothing can have been mounted over yet. Called in the container, as its root. Ends the
// process on failure.
void kernel_settings_apply(const struct plan *plan, int proc);

// Whether some of them are the network namespace's.
bool kernel_settings_of_network(const struct plan *plan);
