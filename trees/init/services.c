// The services together: who may start, who may stop, and when it is all over.
#include "services.h"

#include <signal.h>

#include "services-internal.h"

static bool orders(const struct plan_service_link *link) {
  return link->kind == PLAN_LINK_AFTER || link->kind == PLAN_LINK_REQUIRES || link->kind == PLAN_LINK_WANTS;
}

static size_t order_count(const struct plan *plan) {
  size_t count = 0;
  for (size_t i = 0; i < plan->service_link_count; i++)
    count += orders(&plan->service_links[i]);
  return count;
}

size_t services_size(const struct plan *plan) {
  return plan->service_count * sizeof(struct service) + order_count(plan) * sizeof(uint32_t);
}

static void link_dependents(struct services *services, uint32_t *memory) {
  for (uint32_t i = 0; i < services->count; i++)
    for (uint32_t l = 0; l < services->list[i].plan->link_count; l++)
      if (orders(&services->list[i].links[l]))
        services->list[services->list[i].links[l].target].dependent_count++;
  for (uint32_t i = 0; i < services->count; i++) {
    services->list[i].dependents = memory;
    memory += services->list[i].dependent_count;
    services->list[i].dependent_count = 0;
  }
  for (uint32_t i = 0; i < services->count; i++)
    for (uint32_t l = 0; l < services->list[i].plan->link_count; l++)
      if (orders(&services->list[i].links[l])) {
        struct service *target = &services->list[services->list[i].links[l].target];
        target->dependents[target->dependent_count++] = i;
      }
}

void services_begin(struct services *services, const struct plan *plan, void *memory,
                    const struct services_ops *ops, void *context, int64_t now) {
  *services = (struct services){.plan = plan,
                                .ops = ops,
                                .context = context,
                                .list = memory,
                                .count = (uint32_t)plan->service_count,
                                .kill_at = SERVICES_NEVER};
  for (uint32_t i = 0; i < services->count; i++) {
    struct service *service = &services->list[i];
    service->plan = &plan->services[i];
    service->links = plan->service_links + service->plan->link_first;
    service->exit = -1;
    service->check_at = SERVICES_NEVER;
    service->check_deadline = SERVICES_NEVER;
    service_when_begin(service, now);
    service_set_state(service, SERVICE_WAITING, now);
    service->wanted = !service_waits_for_event(service) && !service_is(service, PLAN_SERVICE_LAZY);
  }
  link_dependents(services, (uint32_t *)(void *)(services->list + services->count));
}

static bool is_up(const struct service *service) {
  return service->state == SERVICE_READY || (service->done && !services_active(service));
}

static bool is_over(const struct service *service) {
  return service->state == SERVICE_STOPPED || service->state == SERVICE_FAILED;
}

enum permission { START_NOW, START_LATER, START_NEVER };

static enum permission may_start(const struct services *services, const struct service *service) {
  enum permission result = START_NOW;
  for (uint32_t l = 0; l < service->plan->link_count; l++) {
    const struct plan_service_link *link = &service->links[l];
    if (!orders(link))
      continue;
    const struct service *target = &services->list[link->target];
    if (is_up(target))
      continue;
    if (link->kind == PLAN_LINK_REQUIRES && is_over(target))
      return START_NEVER;
    bool idle = !target->wanted && !services_active(target);
    if (link->kind == PLAN_LINK_REQUIRES || !(is_over(target) || idle))
      result = START_LATER;
  }
  return result;
}

// A service that it requires has ended for good, or is to end.
static bool lost_required(const struct services *services, const struct service *service) {
  for (uint32_t l = 0; l < service->plan->link_count; l++) {
    const struct plan_service_link *link = &service->links[l];
    if (link->kind != PLAN_LINK_REQUIRES)
      continue;
    const struct service *target = &services->list[link->target];
    if (!is_up(target) && (is_over(target) || !target->wanted))
      return true;
  }
  return false;
}

// In reverse order: not before those that are to end and came after it.
static bool may_stop(const struct services *services, const struct service *service) {
  if (services->impatient)
    return true;
  for (uint32_t d = 0; d < service->dependent_count; d++) {
    const struct service *dependent = &services->list[service->dependents[d]];
    if (services_active(dependent) && service_leaving(dependent))
      return false;
  }
  return true;
}

static bool settle_wanted(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (service->state == SERVICE_WAITING) {
    enum permission permission = may_start(services, service);
    if (permission == START_LATER && !service->final)
      return false;
    if (permission == START_NOW)
      service_begin_start(services, index, now);
    else if (service->final)
      service->wanted = false;
    else
      service_give_up(services, index, now);
    return true;
  }
  if (service->state != SERVICE_STARTING && service->state != SERVICE_READY)
    return false;
  if (!service->final && lost_required(services, service)) {
    service->wanted = false;
    service->required_gone = true;
    return true;
  }
  if (service->bounce && may_stop(services, service)) {
    service_begin_stop(services, index, CAUSE_ASKED, now);
    return true;
  }
  return false;
}

static bool settle_unwanted(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (service->state == SERVICE_BACKOFF || (service->state == SERVICE_WAITING && services->stopping)) {
    service_set_state(service, SERVICE_STOPPED, now);
    service_emit(services, index, PLAN_EVENT_STOPPED);
    return true;
  }
  if ((service->state != SERVICE_STARTING && service->state != SERVICE_READY) || !may_stop(services, service))
    return false;
  service_begin_stop(services, index, service->required_gone ? CAUSE_REQUIRED : CAUSE_ASKED, now);
  service->required_gone = false;
  return true;
}

// Something can still happen by itself.
static bool alive(const struct services *services) {
  for (uint32_t i = 0; i < services->count; i++) {
    const struct service *service = &services->list[i];
    if (services_active(service) || service->state == SERVICE_BACKOFF)
      return true;
    if (!services->stopping &&
        (service->when_at != SERVICES_NEVER ||
         (service->state == SERVICE_WAITING && service_is(service, PLAN_SERVICE_LAZY))))
      return true;
  }
  return false;
}

static int final_status(const struct services *services) {
  if (services->have_status)
    return services->status;
  for (uint32_t i = 0; i < services->count; i++)
    if (service_is(&services->list[i], PLAN_SERVICE_MAIN) && services->list[i].exit >= 0)
      return services->list[i].exit;
  for (uint32_t i = 0; i < services->count; i++) {
    const struct service *service = &services->list[i];
    if (service->state == SERVICE_FAILED && !service_waits_for_event(service))
      return service->exit > 0 ? service->exit : 125;
  }
  return 0;
}

void services_settle(struct services *services, int64_t now) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (uint32_t i = 0; i < services->count; i++) {
      struct service *service = &services->list[i];
      if (service->triggered || service->action != PLAN_ACTION_NONE)
        changed |= service_on_event(services, i, now);
      changed |= service->wanted ? settle_wanted(services, i, now) : settle_unwanted(services, i, now);
    }
  }
  if (services->ended || alive(services))
    return;
  services->ended = true;
  services->status = final_status(services);
}

void services_stop_all(struct services *services, int status, uint32_t timeout, int64_t now) {
  if (status >= 0 && !services->have_status) {
    services->have_status = true;
    services->status = status;
  }
  if (timeout != UINT32_MAX && now + timeout < services->kill_at)
    services->kill_at = now + timeout;
  services->impatient = services->stopping && timeout == UINT32_MAX;
  services->stopping = true;
  for (uint32_t i = 0; i < services->count; i++) {
    struct service *service = &services->list[i];
    service->wanted = false;
    service->bounce = false;
    service->when_at = SERVICES_NEVER;
    service->when_deadline = SERVICES_NEVER;
    if (services->impatient && service->state == SERVICE_STOPPING && service->phase != PHASE_POST_STOP)
      service->deadline = now;
  }
}

static void kill_all(struct services *services) {
  for (uint32_t i = 0; i < services->count; i++) {
    if (!services_active(&services->list[i]))
      continue;
    services->ops->signal(services->context, i, TARGET_ALL, SIGKILL);
    services->ops->signal(services->context, i, TARGET_HOOK, SIGKILL);
    if (service_is(&services->list[i], PLAN_SERVICE_MAIN) && !services->have_status) {
      services->have_status = true;
      services->status = 128 + SIGKILL;
    }
  }
  services->ended = true;
  services->status = final_status(services);
}

static int64_t earlier(int64_t a, int64_t b) {
  return a < b ? a : b;
}

int64_t services_next(const struct services *services) {
  int64_t next = services->kill_at;
  for (uint32_t i = 0; i < services->count; i++) {
    const struct service *service = &services->list[i];
    next = earlier(next, earlier(service->deadline, service->check_deadline));
    next = earlier(next, earlier(service->when_at, service->when_deadline));
    if (!service->running[PROCESS_CHECK])
      next = earlier(next, service->check_at);
  }
  return next;
}

void services_tick(struct services *services, int64_t now) {
  if (services->kill_at <= now) {
    kill_all(services);
    return;
  }
  for (uint32_t i = 0; i < services->count; i++) {
    service_deadline(services, i, now);
    service_health_tick(services, i, now);
    service_when_tick(services, i, now);
  }
}
