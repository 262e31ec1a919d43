// The init as a program of its own: called tini or dumb-init it takes their options and does what they do, so
// that images that call them work whether they bring them along or not. Sources: tini(1) and dumb-init(1),
// and how the programs of Debian 12 behave.
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

typedef int standalone_main(char *const argv[]);

// The program to be for that name (with or without a path); NULL: none of them.
standalone_main *standalone_find(const char *name);

// Both return the exit status for a command line. They change the process's signal mask.
int tini_main(char *const argv[]);
int dumb_init_main(char *const argv[]);

// What both consist of.

// Blocks what a program can be told, faults excepted, and makes none of it ignored.
void standalone_block(sigset_t *set);

// Default dispositions and nothing blocked, for the child.
void standalone_restore(const sigset_t *set);

// Waits for a signal, without waking up in between.
int standalone_next_signal(const sigset_t *set);

// What the name or number of a signal means, with or without SIG; 0: nothing.
int standalone_parse_signal(const char *text);

// Exit status as shells give it: 128+n for a signal.
int standalone_status(int status);
