#include "plan-check.h"

#include <string.h>

// The kernel's own check covers what an instruction does; this one covers what the kernel takes at all.
static const char *check_seccomp(const struct plan *plan) {
  return plan->seccomp_count <= BPF_MAXINSNS ? NULL : "system call filter too long";
}

// Relative, without "." and "..": it stays below /proc/sys.
static bool sysctl_name(const char *name) {
  while (*name != '\0') {
    size_t length = strcspn(name, "/");
    bool dots = (length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.');
    if (length == 0 || dots)
      return false;
    name += length;
    if (*name == '/' && *++name == '\0')
      return false;
  }
  return true;
}

static const char *check_lists(const struct plan *plan) {
  for (size_t i = 0; i < plan->landlock_count; i++)
    if (!plan_valid_string(plan, plan->landlock[i].path) || !plan_absolute(plan, plan->landlock[i].path))
      return "path of an access rule is not absolute";
  for (size_t i = 0; i < plan->sysctl_count; i++) {
    const struct plan_sysctl *setting = &plan->sysctl[i];
    if (!plan_valid_string(plan, setting->name) || !plan_valid_string(plan, setting->value) ||
        setting->name == 0 || !sysctl_name(plan_string(plan, setting->name)))
      return "wrong name of a kernel setting";
  }
  return NULL;
}

static bool valid_offset(int64_t seconds) {
  return seconds >= -PLAN_MAX_OFFSET && seconds <= PLAN_MAX_OFFSET;
}

const char *plan_check_security(const struct plan *plan) {
  const char *problem = check_seccomp(plan);
  if (problem == NULL)
    problem = check_lists(plan);
  const struct plan_security *security = plan->security;
  if (problem != NULL || security == NULL)
    return problem != NULL || plan->landlock_count == 0 ? problem : "access rules without what they restrict";
  if ((security->flags & ~(uint32_t)PLAN_SECURITY_FLAGS) != 0)
    return "unknown security flag";
  if (security->oom_score_adj < -1000 || security->oom_score_adj > 1000 || (security->umask & ~0777u) != 0)
    return "security setting out of range";
  if (!valid_offset(security->monotonic_offset) || !valid_offset(security->boottime_offset))
    return "clock offset out of range";
  return plan_valid_words(plan, security->groups) ? NULL : "list of groups out of bounds";
}
