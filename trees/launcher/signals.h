// Signals that the launcher gets.
#pragma once
#include <stdbool.h>

// Blocks the signals to be forwarded, except those the caller ignores (nohup), and returns a descriptor to
// read them from. To be called before the container starts, so that none is lost.
int signals_block(void);

// The next one, or 0.
int signals_read(int fd);

// Whether whoever sends it wants the instance to end.
bool signals_is_end(int sig);
