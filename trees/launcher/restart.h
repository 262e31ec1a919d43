// Whether and when an instance that has ended is started again.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "plan-supervision.h"

// Kept across restarts.
struct restart {
  uint64_t count;    // of all restarts
  uint32_t in_a_row; // since it last ran for long enough
  uint32_t delay;    // milliseconds, of the last one; 0: none in a row
};

// What is to happen after a run of `ran` milliseconds that ended with `status`: the milliseconds to wait
// before the next start, never 0, or -1 when there is none.
int64_t restart_decide(struct restart *restart, const struct plan_supervision *policy, int status,
                       int64_t ran);
