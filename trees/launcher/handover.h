// Launcher and container start at the same time: while the kernel makes the namespaces, the launcher opens
// what the container needs from the host. This is how the one gives it to the other, and how they wait for
// each other.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Both ends; each side closes the other's. False and errno on failure.
bool handover_open(int *launcher, int *container);

// Sends those of the descriptors that are there (not negative). They stay open here. When the other side has
// ended, nothing happens: how it ended is its own to tell. Ends the process on failure.
void handover_give(int end, const int *fds, size_t count);

// Receives them in the same places, close-on-exec, -1 for those that are not there. False when the other side
// has ended.
bool handover_take(int end, int *fds, size_t count);

// The same with a number, which says whatever both sides have agreed on.
void handover_tell(int end, const int *fds, size_t count, uint32_t number);
bool handover_hear(int end, int *fds, size_t count, uint32_t *number);
