#include "limits.h"

#include <sys/resource.h>

void limits_raise(pid_t pid, const struct plan *plan) {
  for (size_t i = 0; i < plan->rlimit_count; i++) {
    const struct plan_rlimit *wanted = &plan->rlimits[i];
    struct rlimit limit;
    int resource = (int)wanted->resource;
    if (prlimit(pid, resource, NULL, &limit) != 0 || limit.rlim_max >= wanted->hard)
      continue;
    limit.rlim_max = wanted->hard;
    prlimit(pid, resource, &limit, NULL);
  }
}
