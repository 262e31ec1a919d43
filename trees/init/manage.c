#include "manage.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "../launcher/channel.h"
#include "../launcher/clock.h"
#include "../launcher/util.h"
#include "runtime.h"
#include "supervise.h"

#define EVENTS 32
#define FLOOD 100       // messages of a service that are read…
#define FLOOD_TIME 1000 // …in so many milliseconds; more have to wait

static bool op_start(void *context, uint32_t index, enum service_start what) {
  return spawn_process(context, index, what);
}

static void to_group(pid_t pid, int sig) {
  if (pid > 0 && kill(-pid, sig) != 0)
    kill(pid, sig); // it has no group of its own yet
}

static void op_signal(void *context, uint32_t index, enum service_target target, int sig) {
  struct runtime *runtime = context;
  struct own *own = &runtime->own[index];
  switch (target) {
  case TARGET_MAIN:
    if (own->pid[PROCESS_MAIN] > 0)
      kill(own->pid[PROCESS_MAIN], sig);
    break;
  case TARGET_GROUP:
    to_group(own->pid[PROCESS_MAIN], sig);
    break;
  case TARGET_HOOK:
    to_group(own->pid[PROCESS_HOOK], sig);
    break;
  case TARGET_CHECK:
    to_group(own->pid[PROCESS_CHECK], sig);
    break;
  case TARGET_ALL:
    if (sig == SIGKILL)
      to_group(own->pid[PROCESS_MAIN], sig);
    if (own->sig != SIGKILL && sig != SIGCONT)
      own->sig = sig;
    runtime->look = true;
    break;
  }
}

static const struct services_ops ops = {.start = op_start, .signal = op_signal};

// A daemon that has put itself into the background and left its pid behind takes the place of the process
// that was started.
static bool adopt(struct runtime *runtime, uint32_t index) {
  const struct plan_service *plan = &runtime->plan->services[index];
  struct own *own = &runtime->own[index];
  if (plan->pid_file == 0)
    return false;
  pid_t pid = census_read_pid(plan_string(runtime->plan, plan->pid_file));
  struct census_subject subject = {.name = plan_string(runtime->plan, plan->name), .session = own->session};
  if (pid <= 1 || !census_is_child(pid) || !census_belongs(pid, &subject))
    return false;
  own->pid[PROCESS_MAIN] = pid;
  own->session = getsid(pid);
  return true;
}

static void ended(struct runtime *runtime, pid_t pid, int status, int64_t now) {
  int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  for (uint32_t i = 0; i < runtime->services.count; i++)
    for (int process = 0; process < PROCESS_KINDS; process++) {
      if (runtime->own[i].pid[process] != pid)
        continue;
      runtime->own[i].pid[process] = 0;
      if (process == PROCESS_MAIN && code == 0 && adopt(runtime, i))
        return;
      services_exited(&runtime->services, i, (enum service_process)process, code, now);
      return;
    }
}

// True when there is no process left at all.
static bool reap(struct runtime *runtime, int64_t now) {
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == 0)
      return false;
    if (pid < 0 && errno == EINTR)
      continue;
    if (pid < 0)
      return true;
    runtime->look = true;
    ended(runtime, pid, status, now);
  }
}

// Sends what is to be sent to everything of a service, and finds out whether anything is left of those that
// have ended. True if the machine has been told something. Looking costs time that grows with the number of
// processes; when much happens at once it is limited to a part of the time.
static bool look(struct runtime *runtime, int64_t now) {
  size_t count = 0;
  if (!runtime->look || now < runtime->look_at)
    return false;
  runtime->look = false;
  for (uint32_t i = 0; i < runtime->services.count; i++) {
    struct own *own = &runtime->own[i];
    if (runtime->services.list[i].census || own->sig != 0)
      runtime->subjects[count++] =
          (struct census_subject){.name = plan_string(runtime->plan, runtime->plan->services[i].name),
                                  .session = own->session,
                                  .all = runtime->command,
                                  .sig = own->sig};
  }
  if (count == 0)
    return false;
  census_take(runtime->subjects, count);
  runtime->look_at = now + 4 * (clock_ms() - now);
  count = 0;
  for (uint32_t i = 0; i < runtime->services.count; i++) {
    struct own *own = &runtime->own[i];
    bool wanted = runtime->services.list[i].census;
    if (!wanted && own->sig == 0)
      continue;
    own->sig = 0;
    bool any = runtime->subjects[count++].count > 0;
    if (!wanted)
      continue;
    if (!any)
      own->session = 0;
    services_remains(&runtime->services, i, any, now);
  }
  return true;
}

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

// Who floods has to wait: its socket is full until it is read again.
static bool floods(struct own *own, int64_t now) {
  if (now - own->counted_from >= FLOOD_TIME) {
    own->counted_from = now;
    own->messages = 0;
  }
  if (++own->messages <= FLOOD)
    return false;
  own->quiet_until = own->counted_from + FLOOD_TIME;
  return true;
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
  while (!floods(own, now)) {
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

static void on_executed(struct runtime *runtime, uint32_t index) {
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
}

static void on_socket(struct runtime *runtime, uint32_t index) {
  const struct own *own = &runtime->own[index];
  services_connection(&runtime->services, index);
  for (uint32_t i = 0; i < own->socket_count; i++)
    set_interest(runtime, own->sockets[i], EVENT_SOCKET, index, 0);
}

// Sockets of lazy services that wait again, and floods that are over.
static int64_t resume(struct runtime *runtime, int64_t now) {
  int64_t next = SERVICES_NEVER;
  for (uint32_t i = 0; i < runtime->services.count; i++) {
    struct own *own = &runtime->own[i];
    struct service *service = &runtime->services.list[i];
    if (own->quiet_until != 0 && own->quiet_until <= now) {
      own->quiet_until = 0;
      set_interest(runtime, own->notify, EVENT_NOTIFY, i, EPOLLIN);
    } else if (own->quiet_until != 0 && own->quiet_until < next) {
      next = own->quiet_until;
    }
    if (service->rearm) {
      service->rearm = false;
      for (uint32_t s = 0; s < own->socket_count; s++)
        set_interest(runtime, own->sockets[s], EVENT_SOCKET, i, EPOLLIN);
    }
  }
  return next;
}

static void dispatch(struct runtime *runtime, uint64_t data, int64_t now) {
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
    on_executed(runtime, index);
    break;
  case EVENT_SOCKET:
    on_socket(runtime, index);
    break;
  default:
    break;
  }
}

static int wait_time(const struct runtime *runtime, int64_t next, int64_t now) {
  int64_t files = watches_next(&runtime->watches);
  if (files < next)
    next = files;
  int64_t due = services_next(&runtime->services);
  if (due < next)
    next = due;
  if (runtime->look && runtime->look_at < next)
    next = runtime->look_at;
  if (next == SERVICES_NEVER)
    return -1;
  int64_t left = next - now;
  return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

// Everything that can be done without waiting. True when all is over.
static bool advance(struct runtime *runtime) {
  struct services *services = &runtime->services;
  int64_t now = clock_ms();
  do {
    reap(runtime, now);
    const struct watch *watch;
    while ((watch = watches_take(&runtime->watches, now)) != NULL)
      services_file_changed(services, watch->service, (enum plan_action)watch->action, now);
    if (services_next(services) <= now)
      services_tick(services, now);
    services_settle(services, now);
  } while (look(runtime, now));
  if (!runtime->command && !runtime->told_executed)
    report_executed(runtime, 0);
  report_changes(runtime);
  return services->ended;
}

int manage_services(const struct plan *plan, const struct manage *manage) {
  static struct runtime runtime; // large; there is only one
  runtime = (struct runtime){.plan = plan,
                             .channel = manage->channel,
                             .signals = manage->signals,
                             .terminal = manage->terminal,
                             .words = manage->words,
                             .command = (plan->services[0].flags & PLAN_SERVICE_COMMAND) != 0,
                             .told_ready = -1,
                             .told_health = -1};
  runtime_open(&runtime);
  services_begin(&runtime.services, plan, runtime.memory, &ops, &runtime, clock_ms());
  while (!advance(&runtime)) {
    struct epoll_event events[EVENTS];
    int64_t now = clock_ms();
    int64_t next = resume(&runtime, now);
    int count = epoll_wait(runtime.epoll, events, EVENTS, wait_time(&runtime, next, now));
    now = clock_ms();
    for (int i = 0; i < count; i++)
      dispatch(&runtime, events[i].data.u64, now);
  }
  bool patient = !runtime.services.impatient && runtime.services.kill_at > clock_ms();
  return supervise_rest(manage->signals, patient ? plan->config->stop_timeout : 0, runtime.services.status);
}
