// One service from its start to its end, and whether it is started again.
#include <signal.h>

#include "services-internal.h"

#define LAST_HOOK 1000 // milliseconds for a hook when nobody is patient any more

bool services_active(const struct service *service) {
  return service->state == SERVICE_STARTING || service->state == SERVICE_READY ||
         service->state == SERVICE_STOPPING;
}

void service_set_state(struct service *service, enum service_state state, int64_t now) {
  service->state = (uint8_t)state;
  service->changed = now;
  service->dirty = true;
  service->deadline = SERVICES_NEVER;
  if (state != SERVICE_STOPPING)
    service->phase = PHASE_NONE;
}

static bool start_process(struct services *services, uint32_t index, enum service_start what) {
  struct service *service = &services->list[index];
  enum service_process process = what == START_MAIN ? PROCESS_MAIN : PROCESS_HOOK;
  service->running[process] = services->ops->start(services->context, index, what);
  return service->running[process];
}

void service_begin_start(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  const struct plan_service *plan = service->plan;
  service_set_state(service, SERVICE_STARTING, now);
  service->started = now;
  service->done = false;
  service->cause = CAUSE_NONE;
  service->asked_rest = false;
  if (service->final)
    service->when_deadline = now + plan->stop_timeout;
  service_health_begin(service, now);
  if (!start_process(services, index, START_MAIN)) {
    services_exited(services, index, PROCESS_MAIN, 125, now);
    return;
  }
  service_emit(services, index, PLAN_EVENT_STARTED);
  if (service_is(service, PLAN_SERVICE_ONESHOT) || plan->ready != PLAN_READY_STARTED) {
    if (plan->ready_timeout != 0)
      service->deadline = now + plan->ready_timeout;
  } else {
    services_ready(services, index, now);
  }
}

void services_ready(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (service->state != SERVICE_STARTING)
    return;
  service_set_state(service, SERVICE_READY, now);
  service_emit(services, index, PLAN_EVENT_READY | (service->was_ready ? PLAN_EVENT_CHANGED : 0u));
  service->was_ready = true;
}

// Long enough for earlier failures not to count any more.
static bool ran_well(const struct service *service) {
  return service->plan->restart_reset != 0 && service->ran >= service->plan->restart_reset;
}

// It was stopped only to be started.
static bool wants_more(const struct service *service) {
  return service->wanted && ((service->bounce && !service->delayed) || service->cause == CAUSE_ASKED);
}

// Whether it will be started again once it has ended with what is known now.
static bool will_restart(const struct services *services, const struct service *service) {
  const struct plan_service *plan = service->plan;
  if (services->stopping || !service->wanted)
    return false;
  if (wants_more(service))
    return true;
  bool failed = service->exit != 0 || service->cause == CAUSE_NOT_READY;
  bool again = service->bounce || plan->restart == PLAN_SERVICE_RESTART_ALWAYS ||
               (plan->restart == PLAN_SERVICE_RESTART_ON_FAILURE && failed);
  uint32_t attempts = ran_well(service) ? 0 : service->attempts;
  return again && (plan->restart_max == PLAN_NO_LIMIT || attempts < plan->restart_max);
}

static int64_t restart_delay(const struct service *service) {
  uint64_t delay = service->plan->restart_delay;
  for (uint32_t i = 0; i < service->attempts && delay != 0 && delay < service->plan->restart_max_delay; i++)
    delay *= 2;
  return (int64_t)(delay < service->plan->restart_max_delay ? delay : service->plan->restart_max_delay);
}

static void ended(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  bool restart = will_restart(services, service);
  bool asked = service->cause == CAUSE_ASKED;
  if (restart && wants_more(service)) {
    service->bounce = false;
    service->attempts = 0;
    service_set_state(service, SERVICE_WAITING, now);
    return;
  }
  service->bounce = false;
  service->delayed = false;
  if (restart) {
    if (ran_well(service))
      service->attempts = 0;
    int64_t delay = restart_delay(service);
    if (service->attempts < UINT32_MAX - 1)
      service->attempts++;
    service->restarts++;
    service_set_state(service, SERVICE_BACKOFF, now);
    service->deadline = now + delay;
    return;
  }
  bool failed = service->cause == CAUSE_NOT_READY || service->cause == CAUSE_UNHEALTHY ||
                (service->cause == CAUSE_NONE && service->exit != 0);
  service->wanted = false;
  if (asked)
    service->was_ready = false;
  // A lazy one waits for the next connection.
  bool lazy = service_is(service, PLAN_SERVICE_LAZY) && service->cause == CAUSE_NONE;
  service->rearm = lazy && !failed;
  service_set_state(service, failed ? SERVICE_FAILED : lazy ? SERVICE_WAITING : SERVICE_STOPPED, now);
  service_emit(services, index, PLAN_EVENT_STOPPED | (service->done ? PLAN_EVENT_READY : 0u));
  if (service_is(service, PLAN_SERVICE_MAIN) && !services->stopping)
    services_stop_all(services, service->exit, UINT32_MAX, now);
}

static void post_stop(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (service->running[PROCESS_HOOK]) { // a reload that is still there: looked at again soon
    services->ops->signal(services->context, index, TARGET_HOOK, SIGKILL);
    service->deadline = now + SERVICES_KILL_INTERVAL;
    return;
  }
  service->phase = PHASE_POST_STOP;
  service->deadline = SERVICES_NEVER;
  if (service->plan->post_stop.count == 0 || !start_process(services, index, START_POST_STOP)) {
    ended(services, index, now);
    return;
  }
  uint32_t patience = services->impatient ? LAST_HOOK : service->plan->stop_timeout;
  service->deadline = now + patience;
}

static void look_for_rest(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  bool stopping = service->phase == PHASE_PRE_STOP || service->phase == PHASE_SIGNALLED;
  service->phase = PHASE_REMAINS;
  service->census = true;
  // What it left behind gets what is left of its time, or all of it if it ended by itself.
  if (!stopping || service->deadline == SERVICES_NEVER)
    service->deadline = now + (services->impatient ? 0 : service->plan->stop_timeout);
}

void services_remains(struct services *services, uint32_t index, bool any, int64_t now) {
  struct service *service = &services->list[index];
  if (service->state != SERVICE_STOPPING || service->phase != PHASE_REMAINS)
    return;
  if (!any) {
    service->census = false;
    post_stop(services, index, now);
  } else if (!service->asked_rest) {
    service->asked_rest = true;
    services->ops->signal(services->context, index, TARGET_ALL, SIGTERM);
    services->ops->signal(services->context, index, TARGET_ALL, SIGCONT);
  }
}

static void send_stop(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (!service->running[PROCESS_MAIN]) {
    look_for_rest(services, index, now);
    return;
  }
  service->phase = PHASE_SIGNALLED;
  services->ops->signal(services->context, index, TARGET_GROUP, (int)service->plan->stop_signal);
  services->ops->signal(services->context, index, TARGET_GROUP,
                        SIGCONT); // a stopped process cannot act on it
  service->deadline = now + (services->impatient ? 0 : service->plan->stop_timeout);
}

static void end_reload(struct services *services, uint32_t index) {
  if (services->list[index].running[PROCESS_HOOK])
    services->ops->signal(services->context, index, TARGET_HOOK, SIGKILL);
}

void service_begin_stop(struct services *services, uint32_t index, enum service_cause cause, int64_t now) {
  struct service *service = &services->list[index];
  service_health_end(services, index);
  end_reload(services, index);
  service_set_state(service, SERVICE_STOPPING, now);
  service->cause = (uint8_t)cause;
  service_emit(services, index, PLAN_EVENT_STOPPING);
  bool hook = service->plan->pre_stop.count != 0 && service->running[PROCESS_MAIN] &&
              !service->running[PROCESS_HOOK] && !services->impatient;
  if (hook && start_process(services, index, START_PRE_STOP)) {
    service->phase = PHASE_PRE_STOP;
    service->deadline = now + service->plan->stop_timeout;
  } else {
    send_stop(services, index, now);
  }
}

void service_give_up(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  service->wanted = false;
  service->bounce = false;
  service_set_state(service, SERVICE_FAILED, now);
  service_emit(services, index, PLAN_EVENT_STOPPED);
  if (service_is(service, PLAN_SERVICE_MAIN) && !services->stopping)
    services_stop_all(services, 125, UINT32_MAX, now);
}

static void main_exited(struct services *services, uint32_t index, int status, int64_t now) {
  struct service *service = &services->list[index];
  service->exit = status;
  service->ran = now - service->started;
  service->dirty = true;
  service->done = status == 0 && service_is(service, PLAN_SERVICE_ONESHOT) && service->cause == CAUSE_NONE;
  service_emit(services, index,
               PLAN_EVENT_EXIT | (status == 0 ? PLAN_EVENT_EXIT_SUCCESS : PLAN_EVENT_EXIT_FAILED));
  if (service->state == SERVICE_STARTING || service->state == SERVICE_READY) {
    service_health_end(services, index);
    end_reload(services, index);
    service_set_state(service, SERVICE_STOPPING, now);
    look_for_rest(services, index, now);
  } else if (service->state == SERVICE_STOPPING && service->phase != PHASE_PRE_STOP) {
    look_for_rest(services, index, now); // the hook, if one runs, is waited for
  }
  if (service_is(service, PLAN_SERVICE_MAIN) && services->stopping && !services->have_status) {
    services->have_status = true;
    services->status = status;
  }
  // The others need not wait for what it left behind.
  if (service_is(service, PLAN_SERVICE_MAIN) && !services->stopping && !will_restart(services, service))
    services_stop_all(services, status, UINT32_MAX, now);
}

void services_exited(struct services *services, uint32_t index, enum service_process process, int status,
                     int64_t now) {
  struct service *service = &services->list[index];
  service->running[process] = false;
  if (process == PROCESS_MAIN) {
    main_exited(services, index, status, now);
  } else if (process == PROCESS_CHECK) {
    service_health_exited(services, index, status, now);
  } else if (service->state == SERVICE_STOPPING && service->phase == PHASE_PRE_STOP) {
    send_stop(services, index, now);
  } else if (service->state == SERVICE_STOPPING && service->phase == PHASE_POST_STOP) {
    ended(services, index, now);
  }
}

void service_deadline(struct services *services, uint32_t index, int64_t now) {
  struct service *service = &services->list[index];
  if (service->deadline > now)
    return;
  service->deadline = SERVICES_NEVER;
  if (service->state == SERVICE_BACKOFF) {
    service_set_state(service, SERVICE_WAITING, now);
  } else if (service->state == SERVICE_STARTING) {
    service->exit = -1;
    service_begin_stop(services, index, CAUSE_NOT_READY, now);
  } else if (service->phase == PHASE_PRE_STOP) {
    services->ops->signal(services->context, index, TARGET_HOOK, SIGKILL);
    if (!service->running[PROCESS_HOOK])
      send_stop(services, index, now);
    else
      service->deadline = now + SERVICES_KILL_INTERVAL;
  } else if (service->phase == PHASE_SIGNALLED || service->phase == PHASE_REMAINS) {
    services->ops->signal(services->context, index, TARGET_ALL, SIGKILL);
    service->census = service->phase == PHASE_REMAINS;
    service->deadline = now + SERVICES_KILL_INTERVAL;
  } else if (service->phase == PHASE_POST_STOP) {
    services->ops->signal(services->context, index, TARGET_HOOK, SIGKILL);
    service->deadline = now + SERVICES_KILL_INTERVAL;
  }
}
