// The life of PID 1 once the command runs.
#pragma once
#include <stdint.h>
#include <sys/types.h>

// Reaps every child, forwards signals to the command and, when it has ended, ends what is left: TERM, `grace`
// milliseconds, KILL. `signals` is a signalfd of everything blocked. Returns the command's exit status (128+n
// for a signal) as soon as no process is left.
//
// From here on nothing may end the process early: the death of PID 1 kills the container.
int supervise(pid_t command, int signals, uint32_t grace);
