#include "restart.h"

// However little the plan asks for: a container that ends at once must not keep a processor busy.
#define LEAST_DELAY_MS 10u

static bool wanted(const struct restart *restart, const struct plan_supervision *policy, int status) {
  switch ((enum plan_restart)policy->restart) {
  case PLAN_RESTART_NO:
  case PLAN_RESTART_END:
    return false;
  case PLAN_RESTART_ON_FAILURE:
    return status != 0 && (policy->restart_max == 0 || restart->in_a_row < policy->restart_max);
  case PLAN_RESTART_ALWAYS:
  case PLAN_RESTART_UNLESS_STOPPED:
    return policy->restart_max == 0 || restart->in_a_row < policy->restart_max;
  }
  return false;
}

static uint32_t next_delay(uint32_t last, const struct plan_supervision *policy) {
  uint32_t first = policy->restart_delay > LEAST_DELAY_MS ? policy->restart_delay : LEAST_DELAY_MS;
  uint32_t limit = policy->restart_max_delay > first ? policy->restart_max_delay : first;
  if (last == 0)
    return first;
  return last > limit / 2 ? limit : last * 2;
}

int64_t restart_decide(struct restart *restart, const struct plan_supervision *policy, int status,
                       int64_t ran) {
  if (ran >= policy->restart_reset) {
    restart->in_a_row = 0;
    restart->delay = 0;
  }
  if (!wanted(restart, policy, status))
    return -1;
  restart->count++;
  restart->in_a_row++;
  restart->delay = next_delay(restart->delay, policy);
  return restart->delay;
}
