// Which processes of the container belong to which service: whoever is in the session or process group of its
// main process, descends from one that is, or carries its name in the environment that it was started with.
// The last finds daemons that have left session and parent behind.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// Variable in every service's environment.
#define CENSUS_VARIABLE "TREES_SERVICE"

struct census_subject {
  const char *name;
  pid_t session; // its main process, which may have ended; 0: not started yet
  bool all;      // every process is its
  int sig;       // sent to each of its processes; 0: they are counted only
  size_t count;  // how many there are, zombies not included
};

// Looks at every process once. Without /proc nobody is found.
void census_take(struct census_subject *subjects, size_t count);

// Whether a process belongs to a service.
bool census_belongs(pid_t pid, const struct census_subject *subject);

// Whether its parent is this process, so that its end will be known.
bool census_is_child(pid_t pid);

// The number in a file, or 0.
pid_t census_read_pid(const char *path);
