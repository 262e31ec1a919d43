// User and group ids of a new user namespace, written by its parent.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "plan.h"

// `identity` maps the plan's inside ids onto the same ids outside. Ends the process on failure.
void ids_write(pid_t pid, const struct plan *plan, bool identity);

// The user namespace of a process as a descriptor.
int ids_open_namespace(pid_t pid);
