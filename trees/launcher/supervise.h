// The launcher after the start: it stays as the container's parent on the host, forwards signals and passes
// on the exit status.
#pragma once
#include "container.h"
#include "terminal.h"

// Blocks the signals to be forwarded, except those the caller ignores (nohup), and returns a descriptor to
// read them from. To be called before the container starts, so that none is lost.
int supervise_block_signals(void);

// Forwards signals, and relays the terminal if there is one, until the container has ended. Returns its exit
// status, 128+n for a signal.
int supervise(const struct container *container, int signals, const struct terminal *terminal);
