#include <string.h>

#include "plan-check.h"

// What the kernel calls a controller, or a file of one: these become parts of paths.
static bool plain(const char *name) {
  size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.");
  return length > 0 && length < 64 && name[length] == '\0' && name[0] != '.';
}

static const char *check_cgroup(const struct plan *plan, const struct plan_cgroup *cgroup) {
  if ((cgroup->version != 1 && cgroup->version != 2) || cgroup->scope >= PLAN_CGROUP_SCOPE_END)
    return "unknown kind of cgroup";
  if (cgroup->scope != PLAN_CGROUP_SCOPE_NONE && cgroup->version != 2)
    return "a scope has cgroups of version 2 only";
  if (!plan_valid_string(plan, cgroup->base) || !plan_valid_string(plan, cgroup->name))
    return "string out of bounds in a cgroup";
  if (!plan_absolute(plan, cgroup->base) || !plan_component(plan, cgroup->name) ||
      strlen(plan_string(plan, cgroup->name)) > 128)
    return "wrong path of a cgroup";
  // One of version 2 counts processes without any.
  if ((cgroup->version == 1 && cgroup->controllers.count == 0) || cgroup->controllers.count > 16 ||
      !plan_valid_words(plan, cgroup->controllers))
    return "wrong list of controllers";
  for (uint32_t i = 0; i < cgroup->controllers.count; i++)
    if (!plain(plan_word(plan, cgroup->controllers, i)))
      return "wrong name of a controller";
  return NULL;
}

const char *plan_check_cgroup(const struct plan *plan) {
  if (plan->cgroup_count > PLAN_MAX_CGROUPS)
    return "too many cgroups";
  for (size_t i = 0; i < plan->cgroup_count; i++) {
    const char *problem = check_cgroup(plan, &plan->cgroups[i]);
    if (problem != NULL)
      return problem;
  }
  for (size_t i = 0; i < plan->cgroup_write_count; i++) {
    const struct plan_cgroup_write *write = &plan->cgroup_writes[i];
    if (write->cgroup >= plan->cgroup_count || (write->flags & ~(uint32_t)PLAN_CGROUP_WRITE_FLAGS) != 0)
      return "limit of no cgroup";
    if (!plan_valid_string(plan, write->file) || !plan_valid_string(plan, write->value) ||
        !plain(plan_string(plan, write->file)) || write->value == 0)
      return "wrong limit";
  }
  return NULL;
}
