// The end of an instance.
#include <string.h>

#include "instance.h"
#include "util.h"

static void tell(const struct instance *instance, struct client *client, const char *error) {
  switch (client->kind) {
  case CLIENT_END:
    control_line(client, "exit=%d", instance->status);
    control_end(client, NULL);
    break;
  case CLIENT_START:
    control_end(client, error != NULL ? error : "it has ended");
    break;
  case CLIENT_ASKING:
  case CLIENT_SERVICE:
    control_end(client, "the instance has ended");
    break;
  case CLIENT_NONE:
  case CLIENT_ATTACHED:
  case CLIENT_LEAVING:
    break;
  }
}

void instance_leave(struct instance *instance, const char *error) {
  struct state *state = &instance->state;
  state->status = error != NULL ? STATE_FAILED : STATE_EXITED;
  state->exit = instance->status;
  state->finished = state_now();
  // A first start that fails leaves nothing behind; an instance that was there before stays, with the reason.
  bool remove = (instance->supervision->flags & PLAN_SUPERVISION_REMOVE) != 0 ||
                (error != NULL && !state->existed && !instance->resumed);
  if (remove)
    state_remove(state);
  else if (state->dir >= 0) {
    state_write(state);
    unlinkat(state->dir, "control", 0);
  }
  // Before anybody is told: whoever waits for the end may start it again.
  state_release(state);
  close_fd(&instance->locks.own);
  close_fd(&instance->locks.tree);
  for (size_t i = 0; i < instance->options.hold_count; i++)
    close_fd(&instance->options.hold[i]);
  for (struct client *client = instance->control.clients;
       client < instance->control.clients + CONTROL_CLIENTS; client++)
    tell(instance, client, error);
  attached_end(&instance->control);
  control_finish(&instance->control);
}
