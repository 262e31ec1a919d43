#include "instance-limits.h"

#include <string.h>

#include "util.h"

// The state names all of them, for whoever joins or looks.
static void note_cgroups(struct instance *instance) {
  instance->state.cgroups[0] = '\0';
  for (size_t i = 0; i < instance->cgroups.count; i++)
    state_add_cgroup(&instance->state, instance->cgroups.list[i].controllers, instance->cgroups.list[i].path);
}

static const char *join(struct instance *instance, const struct request *request, size_t *index) {
  const char *base = request_value(request, "base");
  const char *controllers = request_value(request, "controllers");
  uint64_t version = 0;
  if (!request_number(request, "version", 2, &version) || version == 0 || base == NULL || base[0] != '/' ||
      controllers == NULL)
    return "expected version=, base= and controllers=";
  const char *name = plan_string(&instance->plan, instance->supervision->name);
  const char *failed = cgroups_join(&instance->cgroups, (uint32_t)version, base, controllers, name,
                                    instance->container.pid, index);
  note_cgroups(instance);
  return failed;
}

static const char *freeze(struct instance *instance, const struct request *request) {
  size_t index;
  if (!cgroups_can_freeze(&instance->cgroups)) {
    const char *failed = join(instance, request, &index);
    if (failed != NULL)
      return failed;
  }
  return cgroups_freeze(&instance->cgroups, true);
}

void instance_pause(struct instance *instance, struct client *client, const struct request *request) {
  if (instance->state.status != STATE_RUNNING || instance->container.pid == 0) {
    control_end(client,
                instance->state.status == STATE_PAUSED ? "it is paused already" : "it is not running");
    return;
  }
  const char *failed = freeze(instance, request);
  if (failed == NULL)
    instance->state.status = STATE_PAUSED;
  state_write(&instance->state);
  control_end(client, failed);
}

void instance_unpause(struct instance *instance, struct client *client, const struct request *request) {
  (void)request;
  if (instance->state.status != STATE_PAUSED) {
    control_end(client, "it is not paused");
    return;
  }
  const char *failed = cgroups_freeze(&instance->cgroups, false);
  if (failed == NULL) {
    instance->state.status = STATE_RUNNING;
    state_write(&instance->state);
  }
  control_end(client, failed);
}

void instance_join_cgroup(struct instance *instance, struct client *client, const struct request *request) {
  size_t index;
  char path[REQUEST_MAX / 2];
  if (instance->container.pid == 0) {
    control_end(client, "it is not running");
    return;
  }
  const char *failed = join(instance, request, &index);
  state_write(&instance->state);
  if (failed == NULL) {
    request_encode(instance->cgroups.list[index].path, path, sizeof path);
    control_line(client, "path=%s", path);
  }
  control_end(client, failed);
}
