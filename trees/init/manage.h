// The life of PID 1 with services.
#pragma once
#include <stdbool.h>

#include "../launcher/plan.h"

struct manage {
  int signals;        // signalfd of everything blocked
  int channel;        // to the launcher, or -1
  bool terminal;      // standard input is a terminal of the container's own: the main service gets it
  char *const *words; // for a plan of one supervised command: replaces its words, if there are any
};

// Runs the services of the plan until all is over. Returns the container's exit status.
int manage_services(const struct plan *plan, const struct manage *manage);
