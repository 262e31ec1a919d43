// Events: services and watches that wait for what happens to other services, and for the time.
#include "services-internal.h"

bool service_waits_for_event(const struct service *service) {
  return service->plan->when_source != PLAN_NO_SERVICE || service->plan->when_interval != 0;
}

void service_when_begin(struct service *service, int64_t now) {
  const struct plan_service *plan = service->plan;
  service->when_at = SERVICES_NEVER;
  service->when_deadline = SERVICES_NEVER;
  if (plan->when_source == PLAN_NO_SERVICE && plan->when_interval != 0)
    service->when_at = now + plan->when_interval;
  if (plan->when_source != PLAN_NO_SERVICE && plan->when_timeout != 0)
    service->when_deadline = now + plan->when_timeout;
}

// Only notes what is to be done: acting at once would change what the caller is in the middle of.
void service_emit(struct services *services, uint32_t index, uint32_t events) {
  for (uint32_t i = 0; i < services->count; i++) {
    struct service *other = &services->list[i];
    const struct plan_service *plan = other->plan;
    if (plan->when_source == index && (plan->when_event & events) != 0 &&
        (plan->when_each != 0 || !other->had_event)) {
      other->had_event = true;
      other->triggered = true;
    }
    for (uint32_t l = 0; l < plan->link_count; l++) {
      const struct plan_service_link *link = &other->links[l];
      if (link->kind == PLAN_LINK_WATCH && link->target == index && (link->number & events) != 0)
        other->action = (uint8_t)link->action;
    }
  }
}

static bool act(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  enum plan_action action = service->action;
  service->action = PLAN_ACTION_NONE;
  if (services->stopping)
    return false;
  switch (action) {
  case PLAN_ACTION_RELOAD:
    if (service->state == SERVICE_READY)
      services_ask_reload(services, index);
    return false;
  case PLAN_ACTION_RESTART:
    if (services_active(service) && !service_leaving(service))
      services_ask_restart(services, index, now);
    return true;
  case PLAN_ACTION_STOP:
    services_ask_stop(services, index);
    return true;
  case PLAN_ACTION_START:
    if (!service->wanted)
      services_ask_start(services, index, now);
    return true;
  case PLAN_ACTION_NONE:
  case PLAN_ACTION_END:
    break;
  }
  return false;
}

bool service_on_event(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  bool acted = service->action != PLAN_ACTION_NONE && act(services, index, now);
  if (!service->triggered)
    return acted;
  const struct plan_service *plan = service->plan;
  if (services->stopping && service->final) {
    service->triggered = false; // once is enough, or it would never end
    return acted;
  }
  service->when_deadline = SERVICES_NEVER;
  if (plan->when_interval != 0 && plan->when_source != PLAN_NO_SERVICE) {
    // The event starts the clock.
    service->triggered = false;
    if (!services->stopping)
      service->when_at = now + plan->when_interval;
    return acted;
  }
  // While it still runs, further events together are good for one more run.
  if (services_active(service) || service->state == SERVICE_BACKOFF)
    return acted;
  service->triggered = false;
  service->wanted = true;
  service->done = false;
  service->attempts = 0;
  service->final = services->stopping;
  service_set_state(service, SERVICE_WAITING, now);
  return true;
}

void service_when_tick(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (service->when_deadline <= now && service->final) {
    service->when_deadline = SERVICES_NEVER;
    service->wanted = false;
  } else if (service->when_deadline <= now) {
    service->when_deadline = SERVICES_NEVER;
    service->had_event = true; // too late from now on
    if (!service->wanted && !services_active(service))
      service_give_up(services, index, now);
  }
  if (service->when_at > now)
    return;
  // From the last time, not from now: delays do not add up. Times that were missed are skipped.
  while (service->when_at <= now)
    service->when_at += service->plan->when_interval;
  if (services_active(service) || service->state == SERVICE_BACKOFF)
    return;
  service->wanted = true;
  service->done = false;
  service->attempts = 0;
  service_set_state(service, SERVICE_WAITING, now);
}
