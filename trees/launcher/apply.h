// Executes the plan's operations on the new root.
#pragma once
#include "network.h"
#include "plan.h"
#include "root.h"
#include "sources.h"

// Everything but layers and upper directory, in order. Ends the process on failure.
void apply_operations(const struct plan *plan, const struct sources *sources, const struct root *root,
                      struct network *network);

// Mounts cgroup file systems, once the process is in the cgroup namespace that they are to show.
void apply_cgroups(const struct plan *plan, const struct root *root);
