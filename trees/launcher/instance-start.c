// Starting an instance's container, and what happens when that fails.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "channel.h"
#include "clock.h"
#include "hooks.h"
#include "instance.h"
#include "resume.h"
#include "syscalls.h"
#include "timing.h"
#include "util.h"

// die() knows no more than its message.
static struct instance *starting;

static void keep_output(void *context, const char *service, enum log_channel channel, const char *bytes,
                        size_t size) {
  struct instance *instance = context;
  unsigned number = channel == LOG_OUT ? 1 : 2;
  (void)service;
  if (instance->state.dir < 0)
    return;
  backlog_add(&instance->backlog, number, bytes, size);
  attached_output(&instance->control, number, bytes, size);
}

static void terminal_output(void *context, const char *bytes, size_t size) {
  struct instance *instance = context;
  if (instance->logs != NULL)
    logs_feed(instance->logs, INSTANCE_COMMAND, LOG_OUT, bytes, size); // comes back to keep_output()
  else
    keep_output(instance, INSTANCE_COMMAND, LOG_OUT, bytes, size);
}

static void open_streams(struct instance *instance) {
  bool detached = instance->options.detach;
  bool services = instance->plan.service_count > 0;
  bool piped = instance->plan.log != NULL && !services;
  struct streams_wanted wanted = {.detached = detached,
                                  .tty = instance->terminal.wanted,
                                  .piped = piped,
                                  .input = (instance->supervision->flags & PLAN_SUPERVISION_STDIN) != 0};
  streams_prepare(&instance->streams, &wanted);
  if (!detached && instance->plan.log == NULL && !services)
    return;
  struct log_setup setup = {.plan = &instance->plan,
                            .console = !detached && !instance->terminal.wanted,
                            .tee = keep_output,
                            .context = instance};
  instance->logs = logs_open(&setup);
  logs_add(instance->logs, services ? "init" : INSTANCE_COMMAND, instance->streams.out,
           instance->streams.err);
}

// A channel costs a little at every start: only where somebody wants to know.
static int open_channel(struct instance *instance) {
  int ends[2] = {-1, -1};
  bool wanted =
      instance->state.dir >= 0 || instance->plan.service_count > 0 || instance->report.notify[0] != '\0';
  if (wanted && !channel_open(ends))
    die_errno("cannot connect launcher and init");
  instance->channel = ends[0];
  return ends[1];
}

void instance_start(struct instance *instance) {
  terminal_prepare(&instance->terminal);
  open_streams(instance);
  instance->launch.channel_fd = open_channel(instance);
  instance->launch.streams = &instance->streams;
  instance->run_start = clock_ms();
  timing_mark("prepare streams", "");
  container_start(&instance->launch, &instance->container);
  timing_print(instance->options.explain_json);
  if (!instance->resumed && !instance->options.exported && !instance->options.quiet)
    tree_server_notice(&instance->plan, &instance->container.tree);

  close_fd(&instance->launch.channel_fd);
  streams_started(&instance->streams);
  struct relay_setup setup = {.terminal = &instance->terminal,
                              .console = !instance->options.detach,
                              .output = terminal_output,
                              .context = instance};
  relay_start(&instance->relay, &setup);
  state_started(&instance->state, instance->container.pid);
  instance->state.status = STATE_STARTING;
  instance->state.fuse = instance->container.tree.pid != 0;
  for (size_t i = 0; i < instance->cgroups.count; i++)
    state_add_cgroup(&instance->state, instance->cgroups.list[i].controllers, instance->cgroups.list[i].path);
  state_write(&instance->state);
  report_started(&instance->report, instance->container.pid);
  // With nobody who would say so.
  instance->executed = instance->channel < 0;
}

static void start_failed(const char *message) {
  struct instance *instance = starting;
  tree_server_kill(&instance->container.tree);
  if (instance->container.pid != 0) {
    sys_pidfd_send_signal(instance->container.pidfd, SIGKILL);
    (void)container_wait(&instance->container);
  }
  hooks_run(&instance->plan, PLAN_HOOK_POSTSTOP, 0);
  if (instance->resumed && !instance->ended_by_user)
    resume_execute(instance, message);
  instance->status = STATUS_FAILED;
  state_error(&instance->state, message);
  instance_leave(instance, message);
}

void instance_expect_failure(struct instance *instance) {
  starting = instance;
  die_set_hook(start_failed);
}
