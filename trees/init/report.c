// What the launcher is told and asks. Nothing is queued: what it does not take now is told in its latest form
// later.
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "../launcher/channel.h"
#include "../launcher/clock.h"
#include "../launcher/util.h"
#include "runtime.h"

#define AGAIN 20 // milliseconds until what the kernel would not take is sent again

static bool held_up(const struct runtime *runtime) {
  return runtime->channel_full || runtime->report_at != 0;
}

static bool send_packet(struct runtime *runtime, const char *line, size_t size, const int *fds,
                        size_t count) {
  if (runtime->channel < 0)
    return true;
  if (channel_send(runtime->channel, line, size, fds, count))
    return true;
  if (errno == EAGAIN) {
    runtime->channel_full = true;
    return false;
  }
  // Too many descriptors are on their way: there is room in the channel, but not for more of them.
  if (errno == ENOBUFS || errno == ETOOMANYREFS) {
    runtime->report_at = clock_ms() + AGAIN;
    return false;
  }
  // Nobody is there any more. Whoever kills the container for that does so without us.
  epoll_ctl(runtime->epoll, EPOLL_CTL_DEL, runtime->channel, NULL);
  close(runtime->channel);
  runtime->channel = -1;
  return true;
}

PRINTF_LIKE(2, 3) static bool send_line(struct runtime *runtime, const char *format, ...) {
  char line[CHANNEL_PACKET];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (size < 0 || (size_t)size >= sizeof line)
    return true;
  return send_packet(runtime, line, (size_t)size, NULL, 0);
}

static const char *name_of(const struct runtime *runtime, uint32_t index, char *encoded, size_t room) {
  request_encode(plan_string(runtime->plan, runtime->plan->services[index].name), encoded, room);
  return encoded;
}

static bool send_state(struct runtime *runtime, uint32_t index, const char *prefix) {
  const struct service *service = &runtime->services.list[index];
  char name[PLAN_MAX_SERVICE_NAME * 3 + 1];
  char exit[16] = "";
  if (service->exit >= 0)
    snprintf(exit, sizeof exit, "%d", service->exit);
  const char *main = (service->plan->flags & PLAN_SERVICE_MAIN) != 0 ? " main=1" : "";
  return send_line(runtime, "%s%s state=%s pid=%d exit=%s restarts=%u health=%s%s", prefix,
                   name_of(runtime, index, name, sizeof name), services_state_name(service),
                   (int)runtime->own[index].pid[PROCESS_MAIN], exit, service->restarts,
                   services_health_name(service), main);
}

static bool send_outputs(struct runtime *runtime, uint32_t index) {
  struct own *own = &runtime->own[index];
  char name[PLAN_MAX_SERVICE_NAME * 3 + 1];
  char line[CHANNEL_PACKET];
  if (own->read[0] < 0)
    return true;
  int size = snprintf(line, sizeof line, "output %s", name_of(runtime, index, name, sizeof name));
  if (!send_packet(runtime, line, (size_t)size, own->read, 2))
    return false;
  for (int i = 0; i < 2; i++) {
    close(own->read[i]);
    own->read[i] = -1;
  }
  return true;
}

void report_executed(struct runtime *runtime, int status) {
  runtime->told_executed = true;
  if (status == 0)
    send_line(runtime, "executed");
  else
    send_line(runtime, "failed %d", status);
}

static bool in_event(const struct service *service) {
  const struct plan_service *plan = service->plan;
  return plan->when_source != PLAN_NO_SERVICE || plan->when_interval != 0 ||
         (plan->flags & PLAN_SERVICE_LAZY) != 0;
}

static int readiness(const struct services *services) {
  for (uint32_t i = 0; i < services->count; i++) {
    const struct service *service = &services->list[i];
    if (!in_event(service) && service->state != SERVICE_READY &&
        !(service->done && !services_active(service)))
      return 0;
  }
  return 1;
}

// That of the main service, or the worst of all.
static int health(const struct services *services) {
  static const uint8_t rank[] = {
      [HEALTH_NONE] = 0, [HEALTH_HEALTHY] = 1, [HEALTH_STARTING] = 2, [HEALTH_UNHEALTHY] = 3};
  uint8_t worst = HEALTH_NONE;
  for (uint32_t i = 0; i < services->count; i++) {
    const struct service *service = &services->list[i];
    if ((service->plan->flags & PLAN_SERVICE_MAIN) != 0 && service->health != HEALTH_NONE)
      return service->health;
    if (rank[service->health] > rank[worst])
      worst = service->health;
  }
  return worst;
}

static bool is_named(const struct asked *asked, uint32_t index) {
  return (asked->names[index / 64] >> (index % 64) & 1) != 0;
}

// False when it has to go on later.
static bool send_list(struct runtime *runtime, struct asked *asked) {
  char prefix[48];
  snprintf(prefix, sizeof prefix, "reply %u name=", asked->id);
  for (; asked->at < runtime->services.count; asked->at++)
    if (is_named(asked, asked->at) && !send_state(runtime, asked->at, prefix))
      return false;
  return true;
}

// Whether all that was asked for has come about; sets `bad` when it never will.
static bool reached(const struct runtime *runtime, struct asked *asked) {
  for (uint32_t i = 0; i < runtime->services.count; i++) {
    const struct service *service = &runtime->services.list[i];
    if (!is_named(asked, i))
      continue;
    bool over = service->state == SERVICE_STOPPED || service->state == SERVICE_FAILED;
    bool up = service->state == SERVICE_READY || (service->done && over);
    if (asked->goal == ASKED_DOWN && (services_active(service) || service->state == SERVICE_BACKOFF))
      return false;
    if (asked->goal != ASKED_UP || (up && !service->bounce))
      continue;
    if (!over || service->bounce)
      return false;
    asked->bad = service->state == SERVICE_FAILED ? "it failed" : "it ended";
  }
  return true;
}

static void answer(struct runtime *runtime, struct asked *asked) {
  if (asked->bad == NULL && asked->lists && !send_list(runtime, asked))
    return;
  if (asked->bad == NULL && asked->goal != ASKED_NOTHING && !runtime->services.ended &&
      !reached(runtime, asked))
    return;
  char text[128];
  bool sent;
  if (asked->bad == NULL) {
    sent = send_line(runtime, "done %u", asked->id);
  } else {
    request_encode(asked->bad, text, sizeof text);
    sent = send_line(runtime, "done %u error=%s", asked->id, text);
  }
  asked->used = !sent;
}

static void tell_services(struct runtime *runtime) {
  for (uint32_t i = 0; i < runtime->services.count; i++) {
    struct service *service = &runtime->services.list[i];
    if (!send_outputs(runtime, i) || (service->dirty && !send_state(runtime, i, "service ")))
      return;
    service->dirty = false;
  }
}

static void tell_summary(struct runtime *runtime) {
  static const char *const names[] = {"none", "starting", "healthy", "unhealthy"};
  int ready = readiness(&runtime->services);
  if (ready != runtime->told_ready && send_line(runtime, "ready %d", ready))
    runtime->told_ready = ready;
  int worst = health(&runtime->services);
  if (worst != runtime->told_health && send_line(runtime, "health %s", names[worst]))
    runtime->told_health = worst;
}

static void wait_for_room(struct runtime *runtime, bool was_full) {
  if (runtime->channel < 0 || runtime->channel_full == was_full)
    return;
  struct epoll_event event = {.events = EPOLLIN | (runtime->channel_full ? EPOLLOUT : 0u),
                              .data.u64 = (uint64_t)EVENT_CHANNEL << 32};
  epoll_ctl(runtime->epoll, EPOLL_CTL_MOD, runtime->channel, &event);
}

void report_changes(struct runtime *runtime) {
  if (runtime->channel < 0)
    return;
  bool was_full = runtime->channel_full;
  runtime->channel_full = false;
  runtime->report_at = 0;
  tell_services(runtime);
  if (!held_up(runtime))
    tell_summary(runtime);
  for (size_t i = 0; i < REPORT_REQUESTS && !held_up(runtime); i++)
    if (runtime->asked[i].used)
      answer(runtime, &runtime->asked[i]);
  wait_for_room(runtime, was_full);
}

void report_rest(struct runtime *runtime) {
  report_changes(runtime);
  while (runtime->channel >= 0 && held_up(runtime)) {
    struct pollfd room = {.fd = runtime->channel, .events = runtime->channel_full ? POLLOUT : 0};
    poll(&room, 1, runtime->channel_full ? -1 : AGAIN);
    report_changes(runtime);
  }
}

static bool find_service(const struct runtime *runtime, const char *name, uint32_t *index) {
  for (*index = 0; *index < runtime->services.count; ++*index)
    if (strcmp(plan_string(runtime->plan, runtime->plan->services[*index].name), name) == 0)
      return true;
  return false;
}

static void act(struct runtime *runtime, struct asked *asked, const char *verb, uint32_t index, int64_t now) {
  struct services *services = &runtime->services;
  if (strcmp(verb, "start") == 0) {
    asked->goal = ASKED_UP;
    services_ask_start(services, index, now);
  } else if (strcmp(verb, "stop") == 0) {
    asked->goal = ASKED_DOWN;
    services_ask_stop(services, index);
  } else if (strcmp(verb, "restart") == 0) {
    asked->goal = ASKED_UP;
    services_ask_restart(services, index, now);
  } else if (!services_ask_reload(services, index)) {
    asked->bad = "it does not run, or says no way to reload it";
  }
}

static void begin(struct runtime *runtime, struct asked *asked, const struct request *request, int64_t now) {
  const char *verb = request->words[1];
  asked->lists = strcmp(verb, "ls") == 0 || strcmp(verb, "status") == 0;
  bool acts = strcmp(verb, "start") == 0 || strcmp(verb, "stop") == 0 || strcmp(verb, "restart") == 0 ||
              strcmp(verb, "reload") == 0;
  if (!asked->lists && !acts) {
    asked->bad = "unknown request";
    return;
  }
  if (acts && runtime->services.stopping) {
    asked->bad = "everything is being stopped";
    return;
  }
  if (request->count == 2) {
    if (acts)
      asked->bad = "no service was named";
    memset(asked->names, asked->lists ? 0xff : 0, sizeof asked->names);
    return;
  }
  // All names are looked up before anything is done.
  uint32_t index;
  for (size_t i = 2; i < request->count; i++)
    if (!find_service(runtime, request->words[i], &index)) {
      asked->bad = "there is no such service";
      return;
    }
  for (size_t i = 2; i < request->count; i++) {
    find_service(runtime, request->words[i], &index);
    asked->names[index / 64] |= 1ull << (index % 64);
    if (acts)
      act(runtime, asked, verb, index, now);
  }
}

static void on_request(struct runtime *runtime, const struct request *request, int64_t now) {
  unsigned id;
  if (request->count < 2 || sscanf(request->words[0], "%u", &id) != 1)
    return;
  for (size_t i = 0; i < REPORT_REQUESTS; i++) {
    struct asked *asked = &runtime->asked[i];
    if (asked->used)
      continue;
    *asked = (struct asked){.used = true, .id = id};
    begin(runtime, asked, request, now);
    return;
  }
  send_line(runtime, "done %u error=too%%20many%%20requests", id);
}

void report_read(struct runtime *runtime, int64_t now) {
  static struct channel_packet packet;
  for (int i = 0; i < 16 && runtime->channel >= 0; i++) {
    enum channel_result result = channel_receive(runtime->channel, &packet);
    if (result == CHANNEL_NOTHING)
      return;
    if (result == CHANNEL_CLOSED) {
      epoll_ctl(runtime->epoll, EPOLL_CTL_DEL, runtime->channel, NULL);
      close(runtime->channel);
      runtime->channel = -1;
      return;
    }
    for (size_t f = 0; f < packet.fd_count; f++)
      close(packet.fds[f]);
    uint64_t timeout = UINT32_MAX;
    if (strcmp(packet.request.verb, "request") == 0)
      on_request(runtime, &packet.request, now);
    else if (strcmp(packet.request.verb, "stop") == 0 &&
             request_number(&packet.request, "timeout", UINT32_MAX - 1, &timeout))
      services_stop_all(&runtime->services, -1, (uint32_t)timeout, now);
  }
}
