// What the init holds for its services besides what services.h knows: processes, descriptors, the channel.
#pragma once
#include <sys/resource.h>
#include <sys/types.h>

#include "../launcher/notify.h"
#include "census.h"
#include "services.h"
#include "watch.h"

struct own {
  pid_t pid[PROCESS_KINDS];
  pid_t session; // of its main process, until nothing is left of it
  int sig;       // to be sent to everything that is its
  int notify;    // -1: none, as for all descriptors here
  char notify_name[NOTIFY_NAME];
  int ready;    // read end
  int executed; // read end: a status that comes when the main process cannot be executed
  int out[2];   // standard output and error: the service's ends
  int read[2];  // the launcher's ends, until they are sent
  const int *sockets;
  uint32_t socket_count;
  struct notify_rate rate;
};

#define REPORT_REQUESTS 16

struct asked { // an answer that is still to be given
  bool used;
  bool lists;      // ls, status: lines are sent from `at` on
  uint32_t id;     // of the launcher
  uint32_t at;     // next service to tell about
  const char *bad; // why it cannot be done
  enum { ASKED_NOTHING, ASKED_UP, ASKED_DOWN } goal;
  uint64_t names[PLAN_MAX_SERVICES / 64];
};

struct runtime {
  void *memory; // for services_begin()
  const struct plan *plan;
  struct services services;
  struct own *own;
  struct census_subject *subjects;
  struct watches watches;
  int channel; // -1: nobody to report to
  int signals;
  int epoll;
  int null;
  bool terminal;
  bool command;        // one service only, the plan's command: it gets all signals
  char *const *words;  // replaces its words
  struct rlimit files; // what services are to inherit
  bool abandoned;      // by the launcher
  bool look;           // processes may have gone
  int64_t look_at;     // not before
  bool channel_full;   // tried again when there is room
  int64_t report_at;   // tried again then; 0: no need to
  bool told_executed;
  int told_ready; // -1: nothing yet
  int told_health;
  struct asked asked[REPORT_REQUESTS];
};

// spawn.c: starts a process of a service. False if that is impossible now.
bool spawn_process(struct runtime *runtime, uint32_t index, enum service_start what);

// report.c: tells the launcher what has changed, as far as it takes it.
void report_changes(struct runtime *runtime);
// Waits until it has taken all: what services have written can be read by nobody else.
void report_rest(struct runtime *runtime);
void report_executed(struct runtime *runtime, int status); // 0: it was; else the status of the failure
void report_read(struct runtime *runtime, int64_t now);    // what the launcher asks for

// open.c: everything that services need before the first one is started. Ends the process with 125 on
// failure.
void runtime_open(struct runtime *runtime);
void runtime_watch(struct runtime *runtime, int fd, unsigned kind, uint32_t index); // adds to epoll

// What epoll tells: a kind in the upper half, a service in the lower one.
enum { EVENT_SIGNALS, EVENT_CHANNEL, EVENT_FILES, EVENT_NOTIFY, EVENT_READY, EVENT_EXECUTED, EVENT_SOCKET };

// events.c: acts on one of these.
void runtime_dispatch(struct runtime *runtime, uint64_t data, int64_t now);

// Waits again for what it did not wait for in the meantime: sockets of lazy services, services that flooded.
// The time at which there is more of that, or SERVICES_NEVER.
int64_t runtime_resume(struct runtime *runtime, int64_t now);
