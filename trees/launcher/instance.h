// One instance while its launcher or monitor is there: from the start to the end, over all restarts.
#pragma once
#include "attached.h"
#include "container.h"
#include "control.h"
#include "detach.h"
#include "locks.h"
#include "logs.h"
#include "notify.h"
#include "options.h"
#include "relay.h"
#include "report.h"
#include "restart.h"
#include "service-table.h"
#include "state.h"
#include "streams.h"

struct instance {
  char **argv; // of the launcher
  struct options options;
  struct plan plan;
  const struct plan_supervision *supervision; // the plan's, or one that asks for nothing
  struct sources sources;
  struct cgroups cgroups;
  struct terminal terminal;
  struct streams streams;
  struct launch launch;
  struct locks locks;
  struct state state;
  struct restart restart;
  struct report report;
  struct detached detached;
  struct container container; // pid 0: none
  struct relay relay;
  struct logs *logs; // NULL: output does not come here
  struct control control;
  struct backlog backlog;
  struct service_table services;
  struct notify_rate notified;
  struct relay_buffer input; // for the container's standard input where that is a pipe
  int signals;
  int channel;   // to the init; -1: none
  int next_plan; // what the next start uses; -1: the same
  bool resumed;  // not the first start
  bool executed; // the command was
  bool refused;  // it cannot be
  bool ended_by_user;
  bool restart_asked;
  bool reader_gone;  // and the container knows
  int status;        // of the last run
  int64_t run_start; // clock_ms()
  int64_t kill_at;   // patience ends; 0: nobody has asked it to end
  int64_t start_at;  // waits to be started again; 0: does not
};

// The name that output and messages of the only command have.
#define INSTANCE_COMMAND "main"

// Starts the container. What fails ends or restarts the instance (die()).
void instance_start(struct instance *instance);

// In place of a start that failed: decides as after a run. Returns the exit status, like
// instance_supervise().
int instance_retry(struct instance *instance, const char *failed);

// Stays with the instance until it has ended for good. Returns the exit status.
int instance_supervise(struct instance *instance);

// Asks the container to end, and makes it after `patience` milliseconds. The second caller can only shorten
// that.
void instance_stop(struct instance *instance, int sig, int64_t patience);

// From here on die() ends the instance, or makes it try again later.
void instance_expect_failure(struct instance *instance);

// Words of the init.
void instance_channel(struct instance *instance);

// What a process 1 of the tree's own says by sd_notify(3).
void instance_notify(struct instance *instance);

// All that is to be ready is, or not any more.
void instance_set_ready(struct instance *instance, bool ready);

// Writes down that it is ending, and tells the service manager.
void instance_stopping(struct instance *instance);

// The command was executed.
void instance_executed(struct instance *instance);

// Whether there is room for input of attached clients; takes it from them; gives it to a standard input that
// is a pipe.
bool instance_input_room(const struct instance *instance);
void instance_take_input(struct instance *instance);
void instance_give_input(struct instance *instance);

// The handler of the control socket.
void instance_request(void *context, struct client *client, const struct request *request);

// Writes down how it ended, frees the name, and tells everybody who is connected. `error`: why it could not
// be started, or NULL.
void instance_leave(struct instance *instance, const char *error);
