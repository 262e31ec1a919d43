#include "privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#endif

uint64_t privileges_of_init(const struct plan *plan) {
  bool alone = (plan->config->flags & PLAN_NO_NEW_PRIVILEGES) != 0;
  bool restricts = plan->seccomp_count > 0 || plan->landlock_count > 0;
  return plan->config->capabilities | INIT_CAPABILITIES | (restricts && !alone ? 1ull << CAP_SYS_ADMIN : 0);
}

// Without asking first which are there: that would double the calls.
void privileges_bound(uint64_t keep) {
  for (unsigned capability = 0; capability < 64; capability++) {
    if ((keep >> capability & 1) != 0 || prctl(PR_CAPBSET_DROP, (unsigned long)capability, 0, 0, 0) == 0)
      continue;
    if (errno == EINVAL)
      break; // beyond the kernel's last one
    if (prctl(PR_CAPBSET_READ, (unsigned long)capability, 0, 0, 0) == 1)
      die_errno("cannot drop capability %u from the bounding set", capability);
  }
}

void privileges_keep(uint64_t keep) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0)
    die_errno("cannot read the capabilities");
  for (int word = 0; word < 2; word++) {
    uint32_t wanted = (uint32_t)(keep >> (32 * word));
    data[word].permitted &= wanted;
    data[word].effective = data[word].permitted;
    data[word].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data) != 0)
    die_errno("cannot set the capabilities");
  // EINVAL: a kernel without ambient capabilities.
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    die_errno("cannot clear the ambient capabilities");
}
