// What a state looks like as text, and where parts of it are read.
#pragma once
#include <stdint.h>
#include <sys/types.h>

// When a process started, in clock ticks since boot: with its id it names the process for ever. 0: there is
// none.
uint64_t state_process_start(pid_t pid);
