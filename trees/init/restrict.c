#include "restrict.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../launcher/landlock.h"
#include "../launcher/seccomp.h"
#include "../launcher/util.h"

#define KEYCTL_JOIN_SESSION_KEYRING 1

// The caller's keys are not the command's. Where there are no keys (ENOSYS) or no more are granted (EDQUOT,
// EPERM), there is nothing to give away but what the filter of system calls keeps out of reach anyway.
static void own_keyring(void) {
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EDQUOT &&
      errno != EPERM)
    die_errno("cannot give the command a keyring of its own");
}

static bool without_new_privileges(const struct plan *plan) {
  return (plan->config->flags & PLAN_NO_NEW_PRIVILEGES) != 0;
}

void restrict_early(const struct plan *plan) {
  if (without_new_privileges(plan))
    return;
  landlock_restrict(plan);
  seccomp_install(plan);
}

void restrict_late(const struct plan *plan) {
  uint32_t flags = plan->security == NULL ? 0 : plan->security->flags;
  if ((flags & PLAN_SECURITY_UMASK) != 0)
    umask((mode_t)plan->security->umask);
  if ((flags & PLAN_SECURITY_KEYRING) != 0)
    own_keyring();
  if (!without_new_privileges(plan))
    return;
  landlock_restrict(plan);
  seccomp_install(plan);
}
