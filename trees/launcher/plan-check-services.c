#include <string.h>
#include <sys/resource.h>

#include "plan-check.h"
#include "plan-services.h"

static bool command(const struct plan *plan, struct plan_words words) {
  return plan_valid_words(plan, words) && words.count > 0 && plan_word(plan, words, 0)[0] != '\0';
}

static bool optional_command(const struct plan *plan, struct plan_words words) {
  return words.count == 0 || command(plan, words);
}

static bool is_signal(uint32_t number) {
  return number > 0 && number <= 64;
}

static bool is_port(uint32_t number) {
  return number > 0 && number <= 65535;
}

static const char *check_health(const struct plan *plan, const struct plan_health *health) {
  if (health->kind >= PLAN_CHECK_END || health->on_failure >= PLAN_UNHEALTHY_END)
    return "unknown health check";
  if (!plan_valid_string(plan, health->address) || !plan_valid_string(plan, health->host) ||
      !plan_valid_string(plan, health->path))
    return "string out of bounds in a health check";
  if (health->kind == PLAN_CHECK_NONE)
    return NULL;
  if (health->interval == 0 || health->timeout == 0 || health->retries == 0)
    return "health check without interval, timeout or retries";
  switch ((enum plan_check)health->kind) {
  case PLAN_CHECK_EXEC:
    return command(plan, health->exec) ? NULL : "health check without a command";
  case PLAN_CHECK_TCP:
    return is_port(health->port) && health->address != 0 ? NULL : "health check without address or port";
  case PLAN_CHECK_HTTP:
    return is_port(health->port) && health->address != 0 && plan_absolute(plan, health->path)
               ? NULL
               : "health check without address, port or path";
  case PLAN_CHECK_UNIX:
    return plan_absolute(plan, health->address) ? NULL : "socket of a health check is not absolute";
  case PLAN_CHECK_NONE:
  case PLAN_CHECK_END:
    break;
  }
  return NULL;
}

static const char *check_link(const struct plan *plan, uint32_t service,
                              const struct plan_service_link *link) {
  if (!plan_valid_string(plan, link->text) || !plan_valid_string(plan, link->name) ||
      link->action >= PLAN_ACTION_END || link->kind >= PLAN_LINK_END)
    return "wrong link of a service";
  switch ((enum plan_link_kind)link->kind) {
  case PLAN_LINK_AFTER:
  case PLAN_LINK_REQUIRES:
  case PLAN_LINK_WANTS:
  case PLAN_LINK_WATCH:
    if (link->target >= plan->service_count || link->target == service)
      return "link to a service that does not exist, or to itself";
    return (link->number & ~(uint32_t)PLAN_EVENTS) == 0 ? NULL : "unknown event";
  case PLAN_LINK_FILE:
    return plan_absolute(plan, link->text) && link->a <= INT32_MAX ? NULL : "watched path is not absolute";
  case PLAN_LINK_LISTEN:
    if (link->target >= PLAN_LISTEN_END || link->a > INT32_MAX)
      return "unknown kind of socket";
    if (link->target == PLAN_LISTEN_UNIX || link->target == PLAN_LISTEN_UNIX_DATAGRAM)
      return plan_absolute(plan, link->text) && link->number <= 07777 ? NULL
                                                                      : "path of a socket is not absolute";
    return is_port(link->number) && link->text != 0 ? NULL : "socket without address or port";
  case PLAN_LINK_RLIMIT:
    return link->target < RLIM_NLIMITS && link->a <= link->b ? NULL : "limit of a service out of range";
  case PLAN_LINK_END:
    break;
  }
  return NULL;
}

static const char *check_links(const struct plan *plan, uint32_t index) {
  const struct plan_service *service = &plan->services[index];
  uint32_t sockets = 0;
  if (service->link_count > plan->service_link_count ||
      service->link_first > plan->service_link_count - service->link_count)
    return "links of a service out of bounds";
  for (uint32_t i = 0; i < service->link_count; i++) {
    const struct plan_service_link *link = &plan->service_links[service->link_first + i];
    const char *problem = check_link(plan, index, link);
    if (problem != NULL)
      return problem;
    sockets += link->kind == PLAN_LINK_LISTEN;
  }
  if (sockets > PLAN_MAX_LISTEN)
    return "too many sockets of a service";
  if ((service->flags & PLAN_SERVICE_LAZY) != 0 && sockets == 0)
    return "lazy service without a socket";
  if (service->ready == PLAN_READY_FD && (service->ready_fd < 3 + sockets || service->ready_fd > 1023))
    return "descriptor of a service out of range";
  return NULL;
}

static const char *check_service(const struct plan *plan, uint32_t index) {
  const struct plan_service *service = &plan->services[index];
  if (!plan_valid_string(plan, service->name) || !plan_component(plan, service->name) ||
      strlen(plan_string(plan, service->name)) > PLAN_MAX_SERVICE_NAME)
    return "name of a service is not a plain name";
  if ((service->flags & ~(uint32_t)PLAN_SERVICE_FLAGS) != 0 || service->restart >= PLAN_SERVICE_RESTART_END ||
      service->ready >= PLAN_READY_END)
    return "unknown property of a service";
  if (!plan_valid_string(plan, service->user) || !plan_valid_string(plan, service->workdir) ||
      !plan_valid_string(plan, service->pid_file) || !plan_valid_words(plan, service->env))
    return "string out of bounds in a service";
  if (service->workdir != 0 && !plan_absolute(plan, service->workdir))
    return "working directory of a service is not absolute";
  if (service->pid_file != 0 && !plan_absolute(plan, service->pid_file))
    return "pid file of a service is not absolute";
  if (!command(plan, service->argv) || !optional_command(plan, service->pre_stop) ||
      !optional_command(plan, service->post_stop) || !optional_command(plan, service->reload))
    return "no command in a service, or string out of bounds in it";
  if (!is_signal(service->stop_signal) || service->reload_signal > 64)
    return "signal of a service out of range";
  if (service->ready == PLAN_READY_HEALTH && service->health.kind == PLAN_CHECK_NONE)
    return "service is ready by a health check that it does not have";
  if ((service->when_source != PLAN_NO_SERVICE && service->when_source >= plan->service_count) ||
      (service->when_event & ~(uint32_t)PLAN_EVENTS) != 0 || service->when_each > 1)
    return "event of a service out of range";
  const char *problem = check_health(plan, &service->health);
  return problem != NULL ? problem : check_links(plan, index);
}

const char *plan_check_services(const struct plan *plan) {
  uint32_t mains = 0;
  if (plan->service_count > PLAN_MAX_SERVICES || plan->service_link_count > PLAN_MAX_SERVICE_LINKS)
    return "too many services";
  for (uint32_t i = 0; i < plan->service_count; i++) {
    const char *problem = check_service(plan, i);
    if (problem != NULL)
      return problem;
    mains += (plan->services[i].flags & PLAN_SERVICE_MAIN) != 0;
  }
  return mains <= 1 ? NULL : "more than one main service";
}
