// What each step of a start costs: `--explain-time`. Marks of the launcher and of the container's first
// process end up in one table, because they share its memory.
#pragma once
#include <stdbool.h>

// Begins to measure, for this process and what it clones from now on.
void timing_start(void);

// Whether it was begun; without, the others do nothing.
bool timing_wanted(void);

// From here on the marks are the container's.
void timing_enter_container(void);

// A step is done, since the mark before it on the same side. `detail` may be empty; both are copied.
void timing_mark(const char *step, const char *detail);

// Prints the table on standard error, the slowest step first named, or as one line of JSON.
void timing_print(bool json);
