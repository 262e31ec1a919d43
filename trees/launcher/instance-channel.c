// What the init reports.
#include <stdio.h>
#include <string.h>

#include "channel.h"
#include "instance.h"
#include "util.h"

static const char *word(const struct request *request, size_t index) {
  return index < request->count && request->values[index] == NULL ? request->words[index] : "";
}

void instance_executed(struct instance *instance) {
  if (instance->executed)
    return;
  instance->executed = true;
  if (instance->state.status == STATE_STARTING)
    instance->state.status = STATE_RUNNING;
  // A single command is ready when it runs; of services the init says when, and some inits of themselves.
  instance->state.ready = instance->plan.service_count == 0 && instance->container.notify < 0;
  state_write(&instance->state);
  detach_started(&instance->detached);
  if (!instance->resumed && (instance->state.ready || instance->options.notify == NOTIFY_CONMON))
    report_ready(&instance->report);
  for (struct client *client = instance->control.clients;
       client < instance->control.clients + CONTROL_CLIENTS; client++)
    if (client->kind == CLIENT_START)
      control_end(client, NULL);
}

void instance_set_ready(struct instance *instance, bool ready) {
  if (ready == instance->state.ready)
    return;
  instance->state.ready = ready;
  state_write(&instance->state);
  if (ready && !instance->resumed && instance->options.notify == NOTIFY_CONTAINER)
    report_ready(&instance->report);
}

static void set_health(struct instance *instance, const char *health) {
  snprintf(instance->state.health, sizeof instance->state.health, "%s", health);
  state_write(&instance->state);
}

static void take_output(struct instance *instance, struct channel_packet *packet) {
  if (packet->fd_count != 2 || instance->logs == NULL)
    return;
  logs_add(instance->logs, word(&packet->request, 0), packet->fds[0], packet->fds[1]);
  packet->fd_count = 0; // the logger's now
}

static void answer(struct instance *instance, const struct request *request, bool end) {
  char text[CHANNEL_PACKET + 1];
  uint64_t number = 0;
  const char *id = word(request, 0);
  for (const char *at = id; *at >= '0' && *at <= '9' && number < UINT32_MAX; at++)
    number = number * 10 + (uint64_t)(*at - '0');
  struct client *client = control_find(&instance->control, (uint32_t)number);
  if (client == NULL || client->kind != CLIENT_SERVICE)
    return; // has left
  if (end) {
    control_end(client, request_value(request, "error"));
    return;
  }
  request_join(request, 1, text, sizeof text);
  control_line(client, "%s", text);
}

// A command that becomes process 1 itself has no more than this byte to say.
static bool is_status(const char *verb) {
  unsigned char status = (unsigned char)verb[0];
  return verb[1] == '\0' && status >= STATUS_FAILED && status <= STATUS_NOT_FOUND;
}

static void handle(struct instance *instance, struct channel_packet *packet) {
  const struct request *request = &packet->request;
  const char *verb = request->verb;
  if (strcmp(verb, "executed") == 0)
    instance_executed(instance);
  else if (strcmp(verb, "failed") == 0 || is_status(verb)) {
    instance->refused = true;
    state_error(&instance->state, word(request, 1));
  } else if (strcmp(verb, "ready") == 0)
    instance_set_ready(instance, strcmp(word(request, 0), "1") == 0);
  else if (strcmp(verb, "health") == 0)
    set_health(instance, word(request, 0));
  else if (strcmp(verb, "output") == 0)
    take_output(instance, packet);
  else if (strcmp(verb, "reply") == 0 || strcmp(verb, "done") == 0)
    answer(instance, request, verb[0] == 'd');
  else if (strcmp(verb, "service") == 0) {
    char text[SERVICE_TEXT];
    request_join(request, 1, text, sizeof text);
    service_table_set(&instance->services, word(request, 0), text);
  }
}

void instance_channel(struct instance *instance) {
  static struct channel_packet packet;
  enum channel_result result;
  while (instance->channel >= 0 &&
         (result = channel_receive(instance->channel, &packet)) != CHANNEL_NOTHING) {
    if (result == CHANNEL_CLOSED) {
      close(instance->channel);
      instance->channel = -1;
      // Executing a command in place of the init closes it without a word.
      if ((instance->plan.config->flags & PLAN_NO_INIT) != 0 && !instance->refused)
        instance_executed(instance);
      return;
    }
    handle(instance, &packet);
    for (size_t i = 0; i < packet.fd_count; i++)
      close(packet.fds[i]);
  }
}
