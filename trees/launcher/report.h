// What the launcher tells whoever started it, besides its exit status.
#pragma once
#include <sys/types.h>

#include "options.h"

struct report {
  const char *pid_file; // NULL: none
  int status_fd;        // -1: none
  char notify[108];     // address of the service manager's socket; empty: none
};

void report_open(struct report *report, const struct options *options);

// The container has its first process: the file with its id, and a line {"child-pid":N}.
void report_started(const struct report *report, pid_t init);

// {"exit-code":N}; the file goes.
void report_ended(const struct report *report, int status);

// Tells the service manager (sd_notify(3)).
void report_ready(const struct report *report);
void report_stopping(const struct report *report);
