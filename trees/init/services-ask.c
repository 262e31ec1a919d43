// What somebody asks for while the services run, and how their state is told.
#include <signal.h>

#include "services-internal.h"

void services_ask_start(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (services->stopping || (service->wanted && service->state != SERVICE_BACKOFF))
    return;
  service->wanted = true;
  service->attempts = 0;
  service->done = false;
  if (!services_active(service))
    service_set_state(service, SERVICE_WAITING, now);
  // Plans have no cycles, so this ends.
  for (uint32_t l = 0; l < service->plan->link_count; l++) {
    const struct plan_service_link *link = &service->links[l];
    bool pulls = link->kind == PLAN_LINK_REQUIRES || link->kind == PLAN_LINK_WANTS;
    if (pulls && !services->list[link->target].done)
      services_ask_start(services, link->target, now);
  }
}

static bool requires(const struct service *service, uint32_t index) {
  for (uint32_t l = 0; l < service->plan->link_count; l++)
    if (service->links[l].kind == PLAN_LINK_REQUIRES && service->links[l].target == index)
      return true;
  return false;
}

void services_ask_stop(struct services *services, uint32_t index) {
  struct service *service = &services->list[index];
  service->wanted = false;
  service->bounce = false;
  service->triggered = false;
  if (service->state == SERVICE_STOPPING && service->cause == CAUSE_NONE)
    service->cause = CAUSE_ASKED;
  for (uint32_t d = 0; d < service->dependent_count; d++)
    if (services->list[service->dependents[d]].wanted &&
        requires(&services->list[service->dependents[d]], index))
      services_ask_stop(services, service->dependents[d]);
}

void services_ask_restart(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (services->stopping)
    return;
  if (!services_active(service)) {
    service->wanted = false; // so that it is started at once, whatever it waits for
    services_ask_start(services, index, now);
    return;
  }
  service->wanted = true;
  service->bounce = true;
  service->delayed = false;
  for (uint32_t d = 0; d < service->dependent_count; d++) {
    uint32_t other = service->dependents[d];
    const struct service *dependent = &services->list[other];
    if (!services_active(dependent) || service_leaving(dependent))
      continue;
    if (requires(dependent, index))
      services_ask_restart(services, other, now);
  }
}

bool services_ask_reload(struct services *services, uint32_t index) {
  struct service *service = &services->list[index];
  const struct plan_service *plan = service->plan;
  bool up = service->state == SERVICE_STARTING || service->state == SERVICE_READY;
  if (!up || !service->running[PROCESS_MAIN])
    return false;
  if (plan->reload.count != 0) {
    if (!service->running[PROCESS_HOOK])
      service->running[PROCESS_HOOK] = services->ops->start(services->context, index, START_RELOAD);
    return service->running[PROCESS_HOOK];
  }
  if (plan->reload_signal == 0)
    return false;
  services->ops->signal(services->context, index, TARGET_MAIN, (int)plan->reload_signal);
  return true;
}

void services_file_changed(struct services *services, uint32_t index, enum plan_action action, int64_t now) {
  struct service *service = &services->list[index];
  (void)now;
  service_emit(services, index, PLAN_EVENT_CHANGED);
  if (action != PLAN_ACTION_NONE)
    service->action = (uint8_t)action;
}

void services_connection(struct services *services, uint32_t index) {
  struct service *service = &services->list[index];
  if (service_is(service, PLAN_SERVICE_LAZY) && !services->stopping && service->state == SERVICE_WAITING)
    service->wanted = true;
}

const char *services_state_name(const struct service *service) {
  switch ((enum service_state)service->state) {
  case SERVICE_WAITING:
    return "waiting";
  case SERVICE_STARTING:
    // A one-shot that runs is what it is meant to be.
    return service_is(service, PLAN_SERVICE_ONESHOT) ? "running" : "starting";
  case SERVICE_READY:
    return service->plan->ready == PLAN_READY_STARTED ? "running" : "ready";
  case SERVICE_STOPPING:
    return "stopping";
  case SERVICE_BACKOFF:
    return "backoff";
  case SERVICE_STOPPED:
    return "stopped";
  case SERVICE_FAILED:
    return "failed";
  }
  return "?";
}

const char *services_health_name(const struct service *service) {
  static const char *const names[] = {"none", "starting", "healthy", "unhealthy"};
  return names[service->health & 3];
}
