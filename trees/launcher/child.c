#include "child.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "util.h"

extern int setgroups(size_t, const gid_t *); // behind a feature macro in some libcs

void child_tie(int launcher) {
  struct pollfd poll_launcher = {.fd = launcher, .events = POLLIN};
  if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0, 0, 0) != 0)
    die_errno("cannot tie the container to its launcher");
  if (poll(&poll_launcher, 1, 0) > 0)
    _exit(STATUS_FAILED);
}

void child_become_root(const struct plan *plan) {
  // With one id there are no others, and the kernel refuses to change them.
  if (plan->config->userns != PLAN_USERNS_SELF && setgroups(0, NULL) != 0)
    die_errno("cannot drop supplementary groups");
  if (plan->config->userns == PLAN_USERNS_HOST)
    return;
  if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
    die_errno("cannot become root of the container");
}
