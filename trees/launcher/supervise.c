// The launcher while the instance is there: it passes on signals, input and output, answers requests, and
// decides what follows the container's end.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "channel.h"
#include "clock.h"
#include "hooks.h"
#include "instance.h"
#include "resume.h"
#include "signals.h"
#include "syscalls.h"
#include "system.h"
#include "util.h"

// What an init gets beyond the services' time, to kill the last ones and to say how it ended.
#define INIT_MS 1000

enum {
  POLL_CONTAINER,
  POLL_SIGNALS,
  POLL_CHANNEL,
  POLL_NOTIFY,
  POLL_TREE,
  POLL_LOGS,
  POLL_INPUT,
  POLL_RELAY,
  POLL_CONTROL = POLL_RELAY + RELAY_POLLED,
  POLL_COUNT = POLL_CONTROL + CONTROL_POLLED
};

// An init that looks after services ends them in their order, and itself kills what is left: true when it is
// asked to.
static bool ask_init(const struct instance *instance, int sig, int64_t patience) {
  char packet[64];
  if (sig == SIGKILL || instance->channel < 0 || instance->plan.service_count == 0 ||
      (instance->plan.services[0].flags & PLAN_SERVICE_COMMAND) != 0)
    return false;
  int length = snprintf(packet, sizeof packet, "stop timeout=%lld", (long long)patience);
  return channel_send(instance->channel, packet, (size_t)length, NULL, 0);
}

void instance_stopping(struct instance *instance) {
  if (instance->state.status == STATE_STOPPING)
    return;
  instance->state.status = STATE_STOPPING;
  state_write(&instance->state);
  report_stopping(&instance->report);
}

void instance_stop(struct instance *instance, int sig, int64_t patience) {
  if (instance->container.pid == 0)
    return;
  bool asked = ask_init(instance, sig, patience);
  int64_t deadline = clock_ms() + patience + (asked ? INIT_MS : 0);
  if (instance->kill_at == 0 || deadline < instance->kill_at)
    instance->kill_at = deadline;
  if (instance->state.status == STATE_PAUSED)
    (void)cgroups_freeze(&instance->cgroups, false); // nothing frozen acts on a signal
  instance_stopping(instance);
  if (sig == SIGKILL || !system_stop(instance))
    if (!asked)
      sys_pidfd_send_signal(instance->container.pidfd, sig);
}

// Stops with the command, as the shell's job that both are.
static void suspend(struct relay *relay) {
  relay_suspend(relay);
  kill(getpid(), SIGSTOP);
  relay_resume(relay);
}

static void handle_signal(struct instance *instance, int sig) {
  if (sig == 0)
    return;
  if (signals_is_end(sig))
    instance->ended_by_user = true;
  if (instance->container.pid == 0)
    return;
  if (signals_is_end(sig) && system_is(instance)) {
    instance_stop(instance, system_stop_signal(instance), instance->supervision->stop_timeout);
    return;
  }
  if (sig == SIGWINCH && instance->terminal.wanted) {
    relay_resize(&instance->relay); // the kernel tells the right process group
    return;
  }
  sys_pidfd_send_signal(instance->container.pidfd, sig);
  if (instance->options.detach)
    return;
  if (sig == SIGTSTP)
    suspend(&instance->relay);
  if (sig == SIGCONT)
    relay_resume(&instance->relay);
}

// What the kernel says to a program whose reader or whose terminal has gone away.
static void watch_readers(struct instance *instance) {
  int sig = instance->logs != NULL && logs_reader_gone(instance->logs) ? SIGPIPE
            : instance->relay.gone                                     ? SIGHUP
                                                                       : 0;
  if (sig == 0 || instance->reader_gone)
    return;
  instance->reader_gone = true;
  sys_pidfd_send_signal(instance->container.pidfd, sig);
}

static int64_t earlier(int64_t a, int64_t b) {
  return b != 0 && b < a ? b : a;
}

static void prepare(const struct instance *instance, struct pollfd polled[POLL_COUNT], int64_t *deadline) {
  bool running = instance->container.pid != 0;
  int64_t patience = 0;
  bool hold = attached_stalled(&instance->control, &patience);
  bool input = instance->streams.in >= 0 && instance->input.start < instance->input.end;
  polled[POLL_CONTAINER] =
      (struct pollfd){.fd = running ? container_end_descriptor(&instance->container) : -1, .events = POLLIN};
  polled[POLL_SIGNALS] = (struct pollfd){.fd = instance->signals, .events = POLLIN};
  polled[POLL_CHANNEL] = (struct pollfd){.fd = instance->channel, .events = POLLIN};
  bool quiet = instance->notified.quiet_until > clock_ms();
  polled[POLL_NOTIFY] =
      (struct pollfd){.fd = running && !quiet ? instance->container.notify : -1, .events = POLLIN};
  polled[POLL_TREE] = (struct pollfd){.fd = running ? instance->container.tree.pidfd : -1, .events = POLLIN};
  polled[POLL_LOGS] = (struct pollfd){
      .fd = instance->logs != NULL && !hold ? logs_descriptor(instance->logs) : -1, .events = POLLIN};
  polled[POLL_INPUT] = (struct pollfd){.fd = input ? instance->streams.in : -1, .events = POLLOUT};
  if (running)
    relay_poll(&instance->relay, polled + POLL_RELAY, hold);
  else
    for (int i = 0; i < RELAY_POLLED; i++)
      polled[POLL_RELAY + i] = (struct pollfd){.fd = -1};
  control_poll(&instance->control, polled + POLL_CONTROL, running && instance_input_room(instance));
  *deadline = control_deadline(&instance->control);
  *deadline = earlier(*deadline, instance->start_at);
  *deadline = earlier(*deadline, instance->kill_at);
  *deadline = earlier(*deadline, hold ? patience : 0);
  *deadline = earlier(*deadline, running && quiet ? instance->notified.quiet_until : 0);
}

static void wait_for(struct pollfd polled[POLL_COUNT], int64_t deadline) {
  int timeout = -1;
  if (deadline != CONTROL_NEVER) {
    int64_t left = deadline - clock_ms();
    timeout = left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
  }
  if (poll(polled, POLL_COUNT, timeout) < 0 && errno != EINTR)
    die_errno("cannot wait for the container");
}

static void act(struct instance *instance, const struct pollfd polled[POLL_COUNT]) {
  if ((polled[POLL_SIGNALS].revents & POLLIN) != 0)
    handle_signal(instance, signals_read(instance->signals));
  if (polled[POLL_CHANNEL].revents != 0)
    instance_channel(instance);
  if (polled[POLL_NOTIFY].revents != 0)
    instance_notify(instance);
  if (polled[POLL_TREE].revents != 0) {
    tree_server_ended(&instance->container.tree);
    sys_pidfd_send_signal(instance->container.pidfd, SIGKILL);
  }
  if (polled[POLL_LOGS].revents != 0)
    logs_act(instance->logs);
  if (polled[POLL_INPUT].revents != 0)
    instance_give_input(instance);
  if (instance->container.pid != 0)
    relay_act(&instance->relay, polled + POLL_RELAY);
  control_act(&instance->control, polled + POLL_CONTROL);
  attached_catch_up(&instance->control);
  if (instance->container.pid != 0) {
    instance_take_input(instance);
    watch_readers(instance);
  }
  if (instance->kill_at != 0 && instance->kill_at <= clock_ms() && instance->container.pid != 0) {
    sys_pidfd_send_signal(instance->container.pidfd, SIGKILL);
    instance->kill_at = 0;
  }
}

static int exit_status(struct instance *instance) {
  int status = container_wait(&instance->container);
  if (status < 0)
    die_errno("cannot read the container's exit status");
  if (system_is(instance))
    return system_status(instance, status);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// What it wrote, told, and its traces on the machine removed.
static void clear(struct instance *instance) {
  tree_server_finish(&instance->container.tree);
  instance_channel(instance); // its last words
  close_fd(&instance->channel);
  instance->channel = -1;
  close_fd(&instance->streams.in);
  instance->streams.in = -1;
  relay_finish(&instance->relay);
  if (instance->logs != NULL)
    logs_finish(instance->logs, instance->signals);
  instance->logs = NULL;
  close(instance->container.pidfd);
  close_fd(&instance->container.notify);
  instance->container.pid = 0;
  instance->kill_at = 0;
  instance->state.oom = cgroups_finish(&instance->cgroups);
  const char *failed = hooks_run(&instance->plan, PLAN_HOOK_POSTSTOP, 0);
  if (failed != NULL)
    warning("%s", failed);
  instance->state.init = 0;
  instance->state.exit = instance->status;
  instance->state.finished = state_now();
  instance->state.cgroups[0] = '\0';
  instance->state.ready = false;
  report_ended(&instance->report, instance->status);
}

static bool start_failed(const struct instance *instance) {
  return !instance->executed && instance->status >= STATUS_FAILED && instance->status <= STATUS_NOT_FOUND;
}

static void show(void *context, unsigned channel, const char *bytes, size_t size) {
  (void)context;
  (void)channel;
  write_all(STDERR_FILENO, bytes, size);
}

static void ended(struct instance *instance, int64_t ran) {
  if (instance->restart_asked) {
    instance->restart.in_a_row = 0;
    instance->restart.delay = 0;
    instance->start_at = clock_ms();
  } else if (!instance->ended_by_user) {
    int64_t delay = restart_decide(&instance->restart, instance->supervision, instance->status, ran);
    instance->start_at = delay < 0 ? 0 : clock_ms() + delay;
  }
  if (instance->start_at == 0)
    return;
  instance->state.restarts = instance->restart.count;
  instance->state.status = STATE_RESTARTING;
  state_write(&instance->state);
}

static void container_ended(struct instance *instance) {
  instance->status = exit_status(instance);
  clear(instance);
  if (start_failed(instance) && instance->state.error[0] == '\0')
    state_error(&instance->state, "the command could not be executed");
  if (!start_failed(instance) || instance->resumed) {
    ended(instance, clock_ms() - instance->run_start);
    return;
  }
  // Of the first start it is the caller who tries again. Where the messages went here, he has not seen them.
  if (instance->detached.started >= 0)
    backlog_replay(&instance->backlog, show, NULL);
  instance->ended_by_user = true;
}

int instance_supervise(struct instance *instance) {
  struct pollfd polled[POLL_COUNT];
  for (;;) {
    if (instance->container.pid == 0 && instance->ended_by_user && !instance->restart_asked)
      instance->start_at = 0;
    if (instance->container.pid == 0 && instance->start_at == 0)
      break;
    if (instance->start_at != 0 && instance->start_at <= clock_ms())
      resume_execute(instance, NULL);
    int64_t deadline;
    prepare(instance, polled, &deadline);
    wait_for(polled, deadline);
    act(instance, polled);
    if (polled[POLL_CONTAINER].revents != 0)
      container_ended(instance);
  }
  instance_leave(instance, start_failed(instance) ? instance->state.error : NULL);
  return instance->status;
}

int instance_retry(struct instance *instance, const char *failed) {
  instance->status = STATUS_FAILED;
  state_error(&instance->state, failed);
  ended(instance, 0);
  return instance_supervise(instance);
}
