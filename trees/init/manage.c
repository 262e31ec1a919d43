#include "manage.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "../launcher/clock.h"
#include "../launcher/util.h"
#include "runtime.h"
#include "supervise.h"

#define EVENTS 32

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

static int wait_time(const struct runtime *runtime, int64_t next, int64_t now) {
  int64_t files = watches_next(&runtime->watches);
  if (files < next)
    next = files;
  int64_t due = services_next(&runtime->services);
  if (due < next)
    next = due;
  if (runtime->look && runtime->look_at < next)
    next = runtime->look_at;
  if (runtime->report_at != 0 && runtime->report_at < next)
    next = runtime->report_at;
  if (next == SERVICES_NEVER)
    return -1;
  int64_t left = next - now;
  return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

// Of several services: the first ones have been started, and the main one, if it is among them, executed.
static bool is_executed(const struct runtime *runtime) {
  for (uint32_t i = 0; i < runtime->services.count; i++)
    if (runtime->own[i].executed >= 0)
      return false;
  return !runtime->command;
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
  if (!runtime->told_executed && is_executed(runtime))
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
  while (!advance(&runtime) && !runtime.abandoned) {
    struct epoll_event events[EVENTS];
    int64_t now = clock_ms();
    int64_t next = runtime_resume(&runtime, now);
    int count = epoll_wait(runtime.epoll, events, EVENTS, wait_time(&runtime, next, now));
    now = clock_ms();
    for (int i = 0; i < count; i++)
      runtime_dispatch(&runtime, events[i].data.u64, now);
  }
  if (!runtime.abandoned)
    report_rest(&runtime);
  bool patient = !runtime.abandoned && !runtime.services.impatient && runtime.services.kill_at > clock_ms();
  return supervise_rest(manage->signals, patient ? plan->config->stop_timeout : 0, runtime.services.status);
}
