// The life of PID 1 once the command runs.
#pragma once
#include <stdint.h>
#include <sys/types.h>

// Reaps every child, forwards signals to the command and, when it has ended, ends what is left: TERM, `grace`
// milliseconds, KILL. `signals` is a signalfd of everything blocked. Returns the command's exit status (128+n
// for a signal) as soon as no process is left.
//
// From here on nothing may end the process early: its death kills the container.
int supervise(pid_t command, int signals, uint32_t grace);

// The same without a command: ends what is left. Returns `status`.
int supervise_rest(int signals, uint32_t grace, int status);

// Sends a signal to the command: to its group if it is one that a terminal would send.
void supervise_forward(pid_t command, int sig);
