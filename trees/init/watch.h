// Files that services react to. Needs no memory but what it is given; one inotify descriptor for all.
#pragma once
#include "../launcher/plan.h"

struct watch {
  const char *path;
  uint32_t service;
  uint32_t action; // enum plan_action
  int64_t quiet;   // milliseconds without a further change before it counts
  int own;         // watch of the path itself, -1 while it does not exist
  int parent;      // of the directory that it is in
  int64_t due;     // INT64_MAX: nothing has changed
};

struct watches {
  int fd; // -1: there are none
  struct watch *list;
  size_t count;
};

size_t watches_count(const struct plan *plan);

// `list` has room for watches_count(). Paths that cannot be watched are told on standard error.
void watches_open(struct watches *watches, const struct plan *plan, struct watch *list);

// Reads what has happened.
void watches_read(struct watches *watches, int64_t now);

int64_t watches_next(const struct watches *watches);

// The next watch that is due, or NULL.
const struct watch *watches_take(struct watches *watches, int64_t now);
