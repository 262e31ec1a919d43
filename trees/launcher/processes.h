// Processes as proc(5) shows them, through a descriptor of a /proc that nobody else has covered.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct process {
  pid_t parent;
  pid_t group;
  pid_t session;
  char state; // one letter, as in ps(1)
};

// False when there is none of that number.
bool process_read(int proc, pid_t pid, struct process *process);

// A file of a process, cut off at `room`, with a NUL behind it. Its size, or -1.
ssize_t process_file(int proc, pid_t pid, const char *name, char *text, size_t room);

// Every process that /proc shows.
typedef void process_visit(void *context, pid_t pid);
void processes_each(int proc, process_visit *visit, void *context);

// Whether `ancestor`, which lives and collects its orphans, is above a process. Every link was there at one
// and the same time, so that no number can have become another process's in between.
bool process_descends(int proc, pid_t pid, pid_t ancestor);

// Sends a signal to a process if it descends from the caller: never to another one that has its number by
// now.
void process_signal_own(int proc, pid_t pid, int sig);

// Sends a signal to everything that descends from the caller, which has one thread and collects orphans
// (PR_SET_CHILD_SUBREAPER). KILL reaches its children only: theirs become its own then, so the caller waits
// for those that ended and repeats it until it has no child.
void processes_signal_own(int proc, int sig);
