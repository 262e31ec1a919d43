// Leaving an instance to a monitor: a process of its own session that nobody waits for.
#pragma once
#include <stddef.h>

struct detached {
  int started; // the monitor tells through it; -1: nobody waits
};

// Returns in the monitor only, which keeps no descriptor of the caller's but standard error and those in
// `keep`. The caller's process waits until detach_started(), prints `name` and ends with 0, or with the
// monitor's own exit status if that ends before.
struct detached detach(const char *name, const int *keep, size_t count);

// Lets the caller go, and its standard error with it.
void detach_started(struct detached *detached);
