// Leaving an instance to a monitor: a process of its own session that nobody waits for.
#pragma once

struct detached {
  int started; // the monitor tells through it; -1: nobody waits
};

// Returns in the monitor only. The caller's process waits until detach_started(), prints `name` and ends with
// 0, or with the monitor's own exit status if that ends before.
struct detached detach(const char *name);

// Lets the caller go, and its standard error with it.
void detach_started(struct detached *detached);
