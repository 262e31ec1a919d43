// trees-init: PID 1 of a container. Started by trees-launch from a sealed copy in memory, with the launch
// plan as an inherited descriptor; arguments, if any, replace the plan's command.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../launcher/plan.h"
#include "../launcher/syscalls.h"
#include "../launcher/util.h"
#include "command.h"
#include "supervise.h"

static int plan_descriptor(void) {
  const char *text = getenv("TREES_PLAN_FD");
  int fd = text == NULL ? -1 : atoi(text);
  if (fd < 3 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    die("trees-init is started by trees-launch: no launch plan was passed on");
  return fd;
}

// Blocked before anything else, so that a signal that comes while the command is being started is forwarded
// to it rather than lost. Faults stay deliverable.
static int block_signals(void) {
  sigset_t set;
  sigfillset(&set);
  static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    sigdelset(&set, faults[i]);
  // An ignored SIGCHLD, inherited, would make children vanish without a status.
  if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || sigprocmask(SIG_SETMASK, &set, NULL) != 0)
    die_errno("cannot block signals");
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0)
    die_errno("cannot receive signals");
  return fd;
}

// PID 1 pins no file and no directory of the tree.
static void let_go(int signals) {
  if (chdir("/") != 0)
    warning_errno("cannot change to /");
  if (signals > 3)
    sys_close_range(3, (unsigned)signals - 1, 0);
  sys_close_range((unsigned)signals + 1, ~0u, 0);
}

int main(int argc, char **argv) {
  (void)argc;
  // Not to be traced or examined from inside, whatever capabilities are there: it has the host's paths in its
  // plan.
  prctl(PR_SET_DUMPABLE, 0ul, 0, 0, 0);
  prctl(PR_SET_NAME, "trees-init", 0, 0, 0);
  int signals = block_signals();
  struct plan plan;
  const char *problem = plan_map(plan_descriptor(), &plan);
  if (problem != NULL)
    die("cannot use the launch plan: %s", problem);
  bool terminal = getenv("TREES_TERMINAL") != NULL;
  struct command words = {.words = argv + 1, .terminal = terminal};
  if ((plan.config->flags & PLAN_NO_INIT) != 0)
    command_execute(&plan, &words);

  pid_t command = fork();
  if (command < 0)
    die_errno("cannot start the command: fork");
  if (command == 0)
    command_execute(&plan, &words);
  if (!terminal)
    setpgid(command, command); // whoever comes first; a forwarded signal must find the group
  let_go(signals);
  return supervise(command, signals, plan.config->stop_timeout);
}
