// The output of an instance's services: read from their pipes, stored in a file a service, shown on the
// launcher's own streams with a label, forwarded to journald or syslog, and handed on as it comes to whoever
// is attached.
//
// One process writes all of it, so that no line is ever torn or lost between writers. A reader that stalls
// costs the lines it does not take (and is told how many), never the service: unless the plan says
// PLAN_LOG_BLOCKING.
#pragma once
#include "plan.h"

enum log_channel { LOG_OUT, LOG_ERR };

struct logs;

// What a service has just written, unlabelled and not divided into lines.
typedef void log_tee(void *context, const char *service, enum log_channel channel, const char *bytes,
                     size_t size);

struct log_setup {
  const struct plan *plan; // its LOG section; without one nothing is stored
  bool console;            // show the output on standard output and standard error
  log_tee *tee;            // may be NULL
  void *context;           // of tee
};

// Opens the directory for the files, made if it is missing. Ends the process with 125 when that is
// impossible.
struct logs *logs_open(const struct log_setup *setup);

// Becomes readable when logs_act() has something to do.
int logs_descriptor(const struct logs *logs);

// Takes over the read ends of a service's pipes; -1 for one it does not have. A service may come back with
// new pipes.
void logs_add(struct logs *logs, const char *service, int out, int err);

// Output that did not come through a pipe of logs_add(): that of a terminal.
void logs_feed(struct logs *logs, const char *service, enum log_channel channel, const char *bytes,
               size_t size);

// Reads what is there, a bounded amount, and passes it on. Never blocks, but on a disk.
void logs_act(struct logs *logs);

// Nobody reads standard output any more, as in `trees run … | head -1`: what SIGPIPE would have said.
bool logs_reader_gone(const struct logs *logs);

// Reads what is left once nobody writes any more, stores unfinished lines, waits for the reader of the
// console until `signals` (a signalfd, or -1) is readable, and closes everything. For the end of the
// instance, and before the launcher executes itself again.
void logs_finish(struct logs *logs, int signals);
