// Health: when a service is checked, what the results mean, and what follows from them.
#include <signal.h>

#include "services-internal.h"

// Until it has been healthy once it is looked at more often than every interval, so that what waits for it
// starts soon: after so long, then after twice that…
#define FIRST_CHECK 50

void service_health_begin(struct service *service, int64_t now) {
  const struct plan_health *health = &service->plan->health;
  service->failures = 0;
  service->was_healthy = false;
  service->counted = now;
  service->check_deadline = SERVICES_NEVER;
  service->check_at = SERVICES_NEVER;
  service->health = health->kind == PLAN_CHECK_NONE ? HEALTH_NONE : HEALTH_STARTING;
  if (health->kind == PLAN_CHECK_NONE)
    return;
  service->check_delay = health->interval < FIRST_CHECK ? health->interval : FIRST_CHECK;
  service->check_at = now + service->check_delay;
}

void service_health_end(struct services *services, uint32_t index) {
  struct service *service = &services->list[index];
  service->check_at = SERVICES_NEVER;
  service->check_deadline = SERVICES_NEVER;
  if (service->running[PROCESS_CHECK]) {
    service->check_late = true;
    services->ops->signal(services->context, index, TARGET_CHECK, SIGKILL);
  }
}

static void set_health(struct services *services, uint32_t index, enum service_health health) {
  struct service *service = &services->list[index];
  if (service->health == health)
    return;
  service->health = (uint8_t)health;
  service->dirty = true;
  service_emit(services, index,
               PLAN_EVENT_CHANGED | (health == HEALTH_HEALTHY ? PLAN_EVENT_HEALTHY : PLAN_EVENT_UNHEALTHY));
}

static void unhealthy(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  set_health(services, index, HEALTH_UNHEALTHY);
  switch ((enum plan_unhealthy)service->plan->health.on_failure) {
  case PLAN_UNHEALTHY_RESTART:
    service->bounce = true;
    service->delayed = true;
    service_begin_stop(services, index, CAUSE_UNHEALTHY, now);
    break;
  case PLAN_UNHEALTHY_STOP:
    service->wanted = false;
    service_begin_stop(services, index, CAUSE_UNHEALTHY, now);
    break;
  case PLAN_UNHEALTHY_KILL:
    // An end like any other: the restart policy decides.
    services->ops->signal(services->context, index, TARGET_ALL, SIGKILL);
    break;
  case PLAN_UNHEALTHY_NONE:
  case PLAN_UNHEALTHY_END:
    break;
  }
}

static void failed(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  const struct plan_health *health = &service->plan->health;
  if (!service->was_healthy) {
    if (now < service->started + health->start_period)
      return;
    // The early checks are no reason to be stricter than the interval says.
    if (now - service->counted < health->interval)
      return;
  }
  service->counted = now;
  if (service->failures < UINT32_MAX)
    service->failures++;
  if (service->failures >= health->retries && service->health != HEALTH_UNHEALTHY)
    unhealthy(services, index, now);
}

static void schedule(struct service *service, int64_t now) {
  uint32_t interval = service->plan->health.interval;
  if (service->was_healthy)
    service->check_delay = interval;
  else
    service->check_delay = service->check_delay > interval / 2 ? interval : service->check_delay * 2;
  service->check_at = now + service->check_delay;
}

void service_health_exited(struct services *services, uint32_t index, int status, int64_t now) {
  struct service *service = &services->list[index];
  bool counted = service->check_late;
  service->check_late = false;
  service->check_deadline = SERVICES_NEVER;
  if (service->state != SERVICE_STARTING && service->state != SERVICE_READY)
    return;
  if (!counted && status == 0) {
    service->was_healthy = true;
    service->failures = 0;
    set_health(services, index, HEALTH_HEALTHY);
    if (service->plan->ready == PLAN_READY_HEALTH)
      services_ready(services, index, now);
  } else if (!counted) {
    failed(services, index, now);
  }
  if (service->state == SERVICE_STARTING || service->state == SERVICE_READY)
    schedule(service, now);
}

void service_health_tick(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (service->check_deadline <= now) {
    service->check_deadline = SERVICES_NEVER;
    service->check_late = true;
    services->ops->signal(services->context, index, TARGET_CHECK, SIGKILL);
    failed(services, index, now);
  }
  if (service->check_at > now || service->running[PROCESS_CHECK])
    return;
  service->check_at = SERVICES_NEVER;
  service->check_late = false;
  service->check_deadline = now + service->plan->health.timeout;
  if (services->ops->start(services->context, index, START_CHECK)) {
    service->running[PROCESS_CHECK] = true;
  } else {
    service_health_exited(services, index, 1, now);
  }
}
