#include "seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#ifndef SECCOMP_FILTER_FLAG_LOG
#define SECCOMP_FILTER_FLAG_LOG (1ul << 1)
#endif
#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1ul << 2)
#endif

void seccomp_install(const struct plan *plan) {
  if (plan->seccomp_count == 0)
    return;
  // The kernel copies it; its structure just has no const.
  struct sock_fprog program = {.len = (unsigned short)plan->seccomp_count,
                               .filter = (struct sock_filter *)(uintptr_t)plan->seccomp};
  uint32_t wanted = plan->security == NULL ? 0 : plan->security->flags;
  unsigned flags = ((wanted & PLAN_SECURITY_SPECULATION) != 0 ? SECCOMP_FILTER_FLAG_SPEC_ALLOW : 0u) |
                   ((wanted & PLAN_SECURITY_SECCOMP_LOG) != 0 ? SECCOMP_FILTER_FLAG_LOG : 0u);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) != 0)
    die_errno("cannot install the filter of system calls: seccomp");
}
