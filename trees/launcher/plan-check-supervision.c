#include "plan-check.h"

#define MAX_SIGNAL 64

const char *plan_check_supervision(const struct plan *plan) {
  const struct plan_supervision *supervision = plan->supervision;
  if (supervision == NULL)
    return NULL;
  if (!plan_valid_string(plan, supervision->name) || !plan_valid_string(plan, supervision->app) ||
      !plan_valid_string(plan, supervision->run_dir))
    return "string out of bounds in the supervision";
  if (supervision->run_dir != 0 &&
      (!plan_absolute(plan, supervision->run_dir) || !plan_component(plan, supervision->name)))
    return "directory for the state is not absolute, or the instance has no name";
  if ((supervision->flags & ~(uint32_t)PLAN_SUPERVISION_FLAGS) != 0)
    return "unknown flag in the supervision";
  if (supervision->restart >= PLAN_RESTART_END)
    return "unknown restart policy";
  if (supervision->stop_signal > MAX_SIGNAL)
    return "signal out of range";
  return NULL;
}
