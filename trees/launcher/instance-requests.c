// What the control socket is asked for.
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "channel.h"
#include "clock.h"
#include "instance-limits.h"
#include "instance.h"
#include "resume.h"
#include "syscalls.h"
#include "system.h"
#include "util.h"

#define MAX_SIGNAL 64
#define MAX_TIMEOUT_MS (1000u * 60 * 60 * 24 * 365)
#define MAX_WINDOW 65535

static void status(struct instance *instance, struct client *client, const struct request *request) {
  static char text[8192];
  (void)request;
  size_t size = state_text(&instance->state, text, sizeof text, true);
  control_append(client, text, size);
  for (size_t i = 0; i < instance->services.count; i++)
    control_line(client, "service=%s %s", instance->services.lines[i].name, instance->services.lines[i].text);
  control_end(client, NULL);
}

// False, and the client has its answer, when the numbers are none.
static bool read_stop(const struct instance *instance, struct client *client, const struct request *request,
                      uint64_t *sig, uint64_t *timeout) {
  *sig = (uint64_t)system_stop_signal(instance);
  *timeout = instance->supervision->stop_timeout;
  if (request_number(request, "signal", MAX_SIGNAL, sig) && *sig > 0 &&
      request_number(request, "timeout", MAX_TIMEOUT_MS, timeout))
    return true;
  control_end(client, "expected signal= and timeout= to be numbers");
  return false;
}

static void stop(struct instance *instance, struct client *client, const struct request *request) {
  uint64_t sig;
  uint64_t timeout;
  if (!read_stop(instance, client, request, &sig, &timeout))
    return;
  client->kind = CLIENT_END;
  instance->ended_by_user = true;
  instance->restart_asked = false;
  instance_stop(instance, (int)sig, (int64_t)timeout);
}

static void kill_it(struct instance *instance, struct client *client, const struct request *request) {
  uint64_t sig = SIGKILL;
  if (!request_number(request, "signal", MAX_SIGNAL, &sig) || sig == 0) {
    control_end(client, "expected signal= to be a number");
    return;
  }
  if (instance->container.pid == 0) {
    control_end(client, "the container is not running");
    return;
  }
  // What ends it on somebody's word does not start it again.
  if (sig == SIGKILL || (int)sig == system_stop_signal(instance))
    instance->ended_by_user = true;
  if (sig == SIGKILL)
    instance_stop(instance, SIGKILL, 0);
  else
    sys_pidfd_send_signal(instance->container.pidfd, (int)sig);
  control_end(client, NULL);
}

// The plan of another generation, checked as far as it can be before the instance is stopped.
static const char *open_next_plan(struct instance *instance, const char *path) {
  struct plan plan;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0)
    return "cannot open the plan";
  const char *problem = plan_map(fd, &plan);
  if (problem == NULL &&
      (plan.supervision == NULL || strcmp(plan_string(&plan, plan.supervision->run_dir),
                                          plan_string(&instance->plan, instance->supervision->run_dir)) != 0))
    problem = "the plan is of another instance";
  if (problem != NULL) {
    close(fd);
    return problem;
  }
  close_fd(&instance->next_plan);
  instance->next_plan = fd;
  return NULL;
}

static void restart(struct instance *instance, struct client *client, const struct request *request) {
  uint64_t sig;
  uint64_t timeout;
  if (!read_stop(instance, client, request, &sig, &timeout))
    return;
  const char *path = request_value(request, "plan");
  const char *problem = path == NULL ? NULL : open_next_plan(instance, path);
  if (problem != NULL) {
    control_end(client, problem);
    return;
  }
  client->kind = CLIENT_START;
  instance->restart_asked = true;
  instance->ended_by_user = false;
  if (instance->container.pid == 0)
    instance->start_at = clock_ms();
  else
    instance_stop(instance, (int)sig, (int64_t)timeout);
}

static void wait_end(struct instance *instance, struct client *client, const struct request *request) {
  (void)instance;
  (void)request;
  client->kind = CLIENT_END;
}

static void attach(struct instance *instance, struct client *client, const struct request *request) {
  uint64_t input = 1;
  uint64_t output = 1;
  uint64_t replay = 1;
  if (!request_number(request, "stdin", 1, &input) || !request_number(request, "stdout", 1, &output) ||
      !request_number(request, "replay", 1, &replay)) {
    control_end(client, "expected stdin=, stdout= and replay= to be 0 or 1");
    return;
  }
  bool tty = instance->terminal.wanted;
  if (!tty && instance->logs == NULL && instance->container.pid != 0) {
    control_end(client, "its output goes to where it was started, and nowhere else");
    return;
  }
  bool takes = tty || (instance->supervision->flags & PLAN_SUPERVISION_STDIN) != 0;
  control_line(client, "tty=%d stdin=%d", tty, takes && input == 1);
  control_line(client, "ok");
  struct attach_request wanted = {.output = output == 1,
                                  .input = takes && input == 1,
                                  .raw = tty,
                                  .backlog = replay == 1 ? &instance->backlog : NULL};
  attached_begin(client, &wanted);
}

static void resize(struct instance *instance, struct client *client, const struct request *request) {
  uint64_t rows = 0;
  uint64_t columns = 0;
  if (!request_number(request, "rows", MAX_WINDOW, &rows) ||
      !request_number(request, "cols", MAX_WINDOW, &columns) || rows == 0 || columns == 0) {
    control_end(client, "expected rows= and cols= to be numbers");
    return;
  }
  if (!instance->terminal.wanted) {
    control_end(client, "the instance has no terminal");
    return;
  }
  relay_set_size(&instance->relay, (unsigned)rows, (unsigned)columns);
  control_end(client, NULL);
}

// Passed on to the init as it is.
static void service(struct instance *instance, struct client *client, const struct request *request) {
  char packet[CHANNEL_PACKET];
  int used = snprintf(packet, sizeof packet, "request %u ", client->number);
  used += (int)request_join(request, 0, packet + used, sizeof packet - (size_t)used);
  if (instance->channel < 0 || !channel_send(instance->channel, packet, (size_t)used, NULL, 0)) {
    control_end(client, "the init does not answer");
    return;
  }
  client->kind = CLIENT_SERVICE;
}

struct verb {
  const char *name;
  void (*handle)(struct instance *, struct client *, const struct request *);
};

static const struct verb verbs[] = {{"attach", attach},   {"cgroup", instance_join_cgroup},
                                    {"kill", kill_it},    {"pause", instance_pause},
                                    {"resize", resize},   {"restart", restart},
                                    {"service", service}, {"status", status},
                                    {"stop", stop},       {"unpause", instance_unpause},
                                    {"wait", wait_end}};

void instance_request(void *context, struct client *client, const struct request *request) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
    if (strcmp(request->verb, verbs[i].name) != 0)
      continue;
    verbs[i].handle(context, client, request);
    return;
  }
  control_end(client, "unknown request");
}
