// Files of one cgroup.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "util.h"

// Writes `value` to a file of the directory. -1 and errno.
int cgroup_write(int dir, const char *file, const char *value);

// Reads a file of the directory, ended by NUL; -1 and errno.
int cgroup_read(int dir, const char *file, char *buffer, size_t size);

// The number after `key` and a space at the beginning of a line; `missing` if there is none.
unsigned long cgroup_number(int dir, const char *file, const char *key, unsigned long missing);

// True if a list separated by spaces has the word.
bool cgroup_has_word(const char *list, const char *word);

// Opens a directory in `at`; -1 and errno.
int cgroup_open(int at, const char *name);

// Makes and locks a new cgroup `name` in `parent`, or one with a number appended where that is taken. `made`
// (160 bytes) is its name then. -1 and errno.
int cgroup_claim(int parent, const char *name, char made[160]);

// Removes the cgroup `name` in `parent` with all below it; -1 and errno (EBUSY: there are processes in it).
int cgroup_remove(int parent, const char *name);

// A message that ends with what errno means; valid until the next one.
const char *cgroup_problem(const char *format, ...) PRINTF_LIKE(1, 2);
