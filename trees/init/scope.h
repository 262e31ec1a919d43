// Which processes are the container's: all in the pid namespace whose process 1 the init is, or, where that
// is the host's, what descends from the init.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

// Before anything is started. `proc`: of /proc, where the pid namespace is the host's; else -1. Ends the
// process on failure.
void scope_begin(int proc);

// That descriptor, which stays open.
int scope_descriptor(void);

// A descriptor of /proc for the caller, or -1.
int scope_open_proc(void);

// Whether a process is the container's.
bool scope_has(int proc, pid_t pid);

// Sends a signal to a process that scope_has().
void scope_signal_one(int proc, pid_t pid, int sig);

// Sends a signal to every process of the container but this one. KILL is to be repeated until no child is
// left.
void scope_signal(int sig);

// Whether a signal that came says that the launcher's side is gone, which the container must not outlive.
// Where the init is process 1 it never knows: the kernel ends it.
bool scope_abandoned(int sig);
