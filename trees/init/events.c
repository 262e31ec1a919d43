// What happens to the init: signals, messages, readiness, connections.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "../launcher/util.h"
#include "runtime.h"
#include "scope.h"
#include "supervise.h"

static void reload_all(struct runtime *runtime) {
  for (uint32_t i = 0; i < runtime->services.count; i++)
    services_ask_reload(&runtime->services, i);
}

static pid_t main_process(const struct runtime *runtime) {
  for (uint32_t i = 0; i < runtime->services.count; i++)
    if ((runtime->plan->services[i].flags & PLAN_SERVICE_MAIN) != 0)
      return runtime->own[i].pid[PROCESS_MAIN];
  return 0;
}

static bool stops(const struct runtime *runtime, int sig) {
  const struct plan_supervision *supervision = runtime->plan->supervision;
  return sig == SIGTERM || sig == SIGINT || sig == SIGQUIT ||
         (supervision != NULL && supervision->stop_signal == (uint32_t)sig);
}

static void on_signal(struct runtime *runtime, int sig, int64_t now) {
  pid_t main = main_process(runtime);
  uint8_t state = runtime->services.list[0].state;
  if (sig == SIGCHLD)
    return; // reaped in every round
  if (scope_abandoned(sig)) {
    runtime->abandoned = true;
    return;
  }
  // Not to a command that is ending only to be started again: this is about the container.
  bool up = main > 0 && (state == SERVICE_STARTING || state == SERVICE_READY);
  if (runtime->command && (up || !stops(runtime, sig)))
    supervise_forward(main, sig);
  else if (stops(runtime, sig))
    services_stop_all(&runtime->services, -1, UINT32_MAX, now);
  else if (sig == SIGHUP)
    reload_all(runtime);
  else if (main > 0 && sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU)
    kill(main, sig);
}

static void on_signals(struct runtime *runtime, int64_t now) {
  struct signalfd_siginfo info;
  while (RETRY(read(runtime->signals, &info, sizeof info)) == sizeof info)
    on_signal(runtime, (int)info.ssi_signo, now);
}

static void set_interest(struct runtime *runtime, int fd, unsigned kind, uint32_t index, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = (uint64_t)kind << 32 | index};
  epoll_ctl(runtime->epoll, EPOLL_CTL_MOD, fd, &event);
}

static void on_notify(struct runtime *runtime, uint32_t index, int64_t now) {
  struct own *own = &runtime->own[index];
  struct census_subject subject = {.name = plan_string(runtime->plan, runtime->plan->services[index].name),
                                   .session = own->session};
  struct notify_message message;
  while (!notify_floods(&own->rate, now)) {
    if (!notify_receive(own->notify, &message))
      return;
    if (message.sender != own->pid[PROCESS_MAIN] && !census_belongs(message.sender, &subject))
      continue; // from somebody else
    if (message.main_pid > 1 && census_is_child(message.main_pid) &&
        census_belongs(message.main_pid, &subject))
      own->pid[PROCESS_MAIN] = message.main_pid;
    if (message.ready)
      services_ready(&runtime->services, index, now);
  }
  set_interest(runtime, own->notify, EVENT_NOTIFY, index, 0);
}

static void on_ready(struct runtime *runtime, uint32_t index, int64_t now) {
  struct own *own = &runtime->own[index];
  char bytes[64];
  if (own->ready < 0)
    return;
  long size = RETRY(read(own->ready, bytes, sizeof bytes));
  if (size < 0)
    return;
  bool said = size > 0 && memchr(bytes, '\n', (size_t)size) != NULL;
  if (said)
    services_ready(&runtime->services, index, now);
  if (said || size == 0) {
    close(own->ready);
    own->ready = -1;
  }
}

// A main service that cannot even be executed at first is a mistake, not a crash: it is for whoever starts
// the container to see, whatever the restart policy.
static void on_executed(struct runtime *runtime, uint32_t index, int64_t now) {
  struct own *own = &runtime->own[index];
  unsigned char status = 0;
  if (own->executed < 0)
    return;
  long size = RETRY(read(own->executed, &status, 1));
  if (size < 0)
    return;
  close(own->executed);
  own->executed = -1;
  report_executed(runtime, size == 1 ? status : 0);
  if (size == 1 && !runtime->command)
    services_stop_all(&runtime->services, status, UINT32_MAX, now);
}

static void on_socket(struct runtime *runtime, uint32_t index) {
  const struct own *own = &runtime->own[index];
  services_connection(&runtime->services, index);
  for (uint32_t i = 0; i < own->socket_count; i++)
    set_interest(runtime, own->sockets[i], EVENT_SOCKET, index, 0);
}

// Sockets of lazy services that wait again, and floods that are over.
int64_t runtime_resume(struct runtime *runtime, int64_t now) {
  int64_t next = SERVICES_NEVER;
  for (uint32_t i = 0; i < runtime->services.count; i++) {
    struct own *own = &runtime->own[i];
    struct service *service = &runtime->services.list[i];
    if (own->rate.quiet_until != 0 && own->rate.quiet_until <= now) {
      own->rate.quiet_until = 0;
      set_interest(runtime, own->notify, EVENT_NOTIFY, i, EPOLLIN);
    } else if (own->rate.quiet_until != 0 && own->rate.quiet_until < next) {
      next = own->rate.quiet_until;
    }
    if (service->rearm) {
      service->rearm = false;
      for (uint32_t s = 0; s < own->socket_count; s++)
        set_interest(runtime, own->sockets[s], EVENT_SOCKET, i, EPOLLIN);
    }
  }
  return next;
}

void runtime_dispatch(struct runtime *runtime, uint64_t data, int64_t now) {
  uint32_t index = (uint32_t)data;
  switch (data >> 32) {
  case EVENT_SIGNALS:
    on_signals(runtime, now);
    break;
  case EVENT_CHANNEL:
    report_read(runtime, now);
    break;
  case EVENT_FILES:
    watches_read(&runtime->watches, now);
    break;
  case EVENT_NOTIFY:
    on_notify(runtime, index, now);
    break;
  case EVENT_READY:
    on_ready(runtime, index, now);
    break;
  case EVENT_EXECUTED:
    on_executed(runtime, index, now);
    break;
  case EVENT_SOCKET:
    on_socket(runtime, index);
    break;
  default:
    break;
  }
}
