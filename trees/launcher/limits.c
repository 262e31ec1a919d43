#include "limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "util.h"

// From outside, where whoever may lower it has the right to.
static void set_oom_score(pid_t pid, int score) {
  char path[48];
  char value[16];
  snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
  snprintf(value, sizeof value, "%d", score);
  CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 || write(fd, value, strlen(value)) < 0)
    die_errno("cannot set the container's score for running out of memory to %d", score);
}

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
  if (plan->security != NULL && (plan->security->flags & PLAN_SECURITY_OOM_SCORE) != 0)
    set_oom_score(pid, plan->security->oom_score_adj);
}
