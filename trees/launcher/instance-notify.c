// What a system says about itself (https://systemd.io/CONTAINER_INTERFACE/, sd_notify(3)).
#include <string.h>

#include "clock.h"
#include "instance.h"
#include "notify.h"

static void take_status(struct instance *instance, const char *text, bool *changed) {
  char before[STATE_TEXT];
  memcpy(before, instance->state.status_text, sizeof before);
  state_status_text(&instance->state, text);
  *changed = *changed || strcmp(before, instance->state.status_text) != 0;
}

void instance_notify(struct instance *instance) {
  struct notify_message message;
  bool changed = false; // written once, however much it says
  // That it was executed comes first.
  instance_channel(instance);
  // Whoever is root in the container can send.
  while (!notify_floods(&instance->notified, clock_ms()) &&
         notify_receive(instance->container.notify, &message)) {
    if (message.sender != instance->container.pid)
      continue;
    if (message.has_status)
      take_status(instance, message.status, &changed);
    if (message.ready && !message.stopping && instance->state.status != STATE_STOPPING)
      instance_set_ready(instance, true);
    if (message.stopping) {
      changed = changed || instance->state.ready;
      instance->state.ready = false;
      instance_stopping(instance);
    }
  }
  if (changed)
    state_write(&instance->state);
}
