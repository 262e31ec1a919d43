// What the parts of the machine in services.h know of each other.
#pragma once
#include "services.h"

// services-life.c: one service from its start to its end.
void service_begin_start(struct services *services, uint32_t index, int64_t now);
void service_begin_stop(struct services *services, uint32_t index, enum service_cause cause, int64_t now);
void service_give_up(struct services *services, uint32_t index, int64_t now); // it cannot be started
void service_deadline(struct services *services, uint32_t index, int64_t now);
void service_set_state(struct service *service, enum service_state state, int64_t now);

// services-events.c: what follows from what happened to another one.
void service_emit(struct services *services, uint32_t index, uint32_t events);
bool service_on_event(struct services *services, uint32_t index, int64_t now);
void service_when_begin(struct service *service, int64_t now);
void service_when_tick(struct services *services, uint32_t index, int64_t now);
bool service_waits_for_event(const struct service *service);

// services-health.c
void service_health_begin(struct service *service, int64_t now);
void service_health_end(struct services *services, uint32_t index);
void service_health_exited(struct services *services, uint32_t index, int status, int64_t now);
void service_health_tick(struct services *services, uint32_t index, int64_t now);

static inline bool service_is(const struct service *service, enum plan_service_flag flag) {
  return (service->plan->flags & (uint32_t)flag) != 0;
}

static inline bool service_leaving(const struct service *service) {
  return !service->wanted || service->bounce;
}
