// Where systemd manages the machine, the cgroups are its own; it gives a part of the tree to whoever asks for
// a scope.
#pragma once
#include <stdint.h>

// Moves the launcher into a new scope that was delegated to it, and out of the way in there. `mount`: where
// version 2 is mounted; `scope`: enum plan_cgroup_scope. Returns the scope's directory. Ends the process on
// failure.
const char *cgroup_scope_enter(const char *mount, const char *name, uint32_t scope);
