// What the services of a container are to do, and when.
//
// Pure: no system call, no clock and no memory but what it is given, so that years of services can be tried
// out in milliseconds. Whoever drives it tells it what happened (services_exited, services_ready, …) and what
// time it is, carries out what it asks for through `struct services_ops`, and calls services_settle() after
// having told it something and services_tick() when services_next() has come. Times are milliseconds of a
// clock that never goes back.
#pragma once
#include "../launcher/plan.h"

#define SERVICES_NEVER INT64_MAX
#define SERVICES_KILL_INTERVAL 100 // between KILLs while something is still there

enum service_state {
  SERVICE_WAITING,  // for other services, or for its event
  SERVICE_STARTING, // runs, not ready yet
  SERVICE_READY,
  SERVICE_STOPPING,
  SERVICE_BACKOFF, // ended, will be started again
  SERVICE_STOPPED,
  SERVICE_FAILED
};

enum service_phase { PHASE_NONE, PHASE_PRE_STOP, PHASE_SIGNALLED, PHASE_REMAINS, PHASE_POST_STOP };

// Why it stops.
enum service_cause {
  CAUSE_NONE,      // it ended by itself
  CAUSE_ASKED,     // somebody wants it to
  CAUSE_NOT_READY, // not in time
  CAUSE_UNHEALTHY,
  CAUSE_REQUIRED // what it requires is not there any more
};

enum service_health { HEALTH_NONE, HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };

// A service has at most one process of each kind; what these fork is theirs.
enum service_process { PROCESS_MAIN, PROCESS_HOOK, PROCESS_CHECK, PROCESS_KINDS };

enum service_start { START_MAIN, START_PRE_STOP, START_POST_STOP, START_RELOAD, START_CHECK };

enum service_target {
  TARGET_MAIN,  // its main process alone
  TARGET_GROUP, // the group of its main process
  TARGET_HOOK,  // the groups of those
  TARGET_CHECK,
  TARGET_ALL // everything that descends from its main process
};

struct services_ops {
  // False if there is no such process now (fork failed): counts as having ended with 125.
  bool (*start)(void *context, uint32_t service, enum service_start what);
  void (*signal)(void *context, uint32_t service, enum service_target target, int sig);
};

struct service {
  const struct plan_service *plan;
  const struct plan_service_link *links;
  uint32_t *dependents; // services that have an after, requires or wants for this one
  uint32_t dependent_count;
  uint8_t state;
  uint8_t phase;
  uint8_t cause;
  uint8_t health;
  bool running[PROCESS_KINDS];
  bool wanted;      // is to run
  bool bounce;      // is to end and to start again
  bool delayed;     // …after the delay of a restart
  bool done;        // a one-shot that has ended with 0
  bool triggered;   // its event came while it could not run
  bool had_event;   // `once` is used up
  bool was_ready;   // at some time since it was wanted
  bool was_healthy; // since it was started
  bool check_late;  // the running check was killed and has been counted
  bool census;      // somebody has to look what is left of it
  bool asked_rest;  // what is left has been asked to end
  bool required_gone;
  bool final;     // started while everything stops
  bool dirty;     // something to report
  bool rearm;     // its sockets have to be waited for again
  uint8_t action; // enum plan_action that a watch asks for
  int32_t exit;   // of the last run; -1: none yet
  uint32_t attempts;
  uint32_t restarts;
  uint32_t failures; // of checks in a row
  uint32_t check_delay;
  int64_t started;
  int64_t ran; // the last time, until it ended
  int64_t changed;
  int64_t counted; // when a failed check counted last
  int64_t deadline;
  int64_t check_at;
  int64_t check_deadline;
  int64_t when_at;
  int64_t when_deadline;
};

struct services {
  const struct plan *plan;
  const struct services_ops *ops;
  void *context;
  struct service *list;
  uint32_t count;
  bool stopping;  // all of it
  bool impatient; // without grace or order
  bool ended;     // nothing runs, nothing will
  bool have_status;
  int status;      // of the container, once it has ended
  int64_t kill_at; // when everything is killed, whatever is left
};

// Bytes that services_begin() needs, aligned to 8.
size_t services_size(const struct plan *plan);

// `memory` is zeroed. Starts nothing before services_settle().
void services_begin(struct services *services, const struct plan *plan, void *memory,
                    const struct services_ops *ops, void *context, int64_t now);

// Does everything that can be done now. To be called after each of the functions below.
void services_settle(struct services *services, int64_t now);

// A process has ended: `status` is 0…255, or 128+n for a signal.
void services_exited(struct services *services, uint32_t index, enum service_process process, int status,
                     int64_t now);

// It has said that it is ready.
void services_ready(struct services *services, uint32_t index, int64_t now);

// Answer to `census`: whether anything that descends from its ended main process is left.
void services_remains(struct services *services, uint32_t index, bool any, int64_t now);

// A file that it watches has changed.
void services_file_changed(struct services *services, uint32_t index, enum plan_action action, int64_t now);

// A socket of a lazy service has something to accept.
void services_connection(struct services *services, uint32_t index);

// What was asked for. False if it cannot be done.
void services_ask_start(struct services *services, uint32_t index, int64_t now);
void services_ask_stop(struct services *services, uint32_t index);
void services_ask_restart(struct services *services, uint32_t index, int64_t now);
bool services_ask_reload(struct services *services, uint32_t index);

// Ends everything, in reverse order; when asked again, without patience. `timeout`: milliseconds until all is
// killed, or UINT32_MAX. `status` becomes the container's if no main service gives one; -1: not known yet.
void services_stop_all(struct services *services, int status, uint32_t timeout, int64_t now);

// When services_tick() is due; SERVICES_NEVER if only by an event.
int64_t services_next(const struct services *services);
void services_tick(struct services *services, int64_t now);

// Shared by the parts of the machine.
bool services_active(const struct service *service); // has processes, or did until a moment ago
const char *services_state_name(const struct service *service);
const char *services_health_name(const struct service *service);
