// trees-init: PID 1 of a container, or, where the pid namespace is the host's, what stands in for it. Started
// by trees-launch from a sealed copy in memory, with the launch plan as an inherited descriptor; arguments,
// if any, replace the plan's command.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../launcher/channel.h"
#include "../launcher/plan.h"
#include "../launcher/syscalls.h"
#include "../launcher/util.h"
#include "command.h"
#include "exec-mode.h"
#include "manage.h"
#include "scope.h"
#include "script.h"
#include "standalone.h"
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

// To the launcher, or -1.
static int channel_descriptor(void) {
  const char *text = getenv(CHANNEL_VARIABLE);
  int fd = text == NULL ? -1 : atoi(text);
  if (fd >= 3 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    die("trees-init is started by trees-launch: no channel was passed on");
  return fd < 3 ? -1 : fd;
}

// Where the pid namespace is the host's: of /proc; else -1.
static int proc_descriptor(void) {
  const char *text = getenv("TREES_PROC_FD");
  int fd = text == NULL ? -1 : atoi(text);
  if ((fd < 3 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) && getpid() != 1)
    die("trees-init is started by trees-launch: it is not process 1, and no /proc was passed on");
  return fd < 3 ? -1 : fd;
}

// The init pins no file and no directory of the tree, and keeps no descriptor but these.
static void let_go(int signals, int channel) {
  const int kept[] = {signals, channel, scope_descriptor()};
  if (chdir("/") != 0)
    warning_errno("cannot change to /");
  close_all_but(kept, sizeof kept / sizeof *kept);
}

// Returns when the command has been executed, or cannot be, and says so.
static void tell_executed(int channel, int executed) {
  unsigned char status = 0;
  char line[32];
  long size = RETRY(read(executed, &status, 1));
  int length =
      size == 1 ? snprintf(line, sizeof line, "failed %u", status) : snprintf(line, sizeof line, "executed");
  channel_send(channel, line, (size_t)length, NULL, 0);
  close(executed);
  close(channel);
}

static int tell_failure; // channel

static void tell_failed(const char *message) {
  (void)message;
  if (tell_failure >= 0)
    channel_send(tell_failure, "failed 125", 10, NULL, 0);
}

static void add_variable(struct command *words, char *text) {
  static char *variables[4];
  words->extra = variables;
  words->extra[words->extra_count++] = text;
}

// What the launcher's caller passed on is for this process, whose id nobody knew before.
static void take_sockets(struct command *words) {
  static char count[32];
  static char pid[32];
  const char *sockets = getenv("TREES_LISTEN_FDS");
  char *names = getenv("LISTEN_FDNAMES");
  if (sockets == NULL)
    return;
  snprintf(count, sizeof count, "LISTEN_FDS=%s", sockets);
  snprintf(pid, sizeof pid, "LISTEN_PID=%d", (int)getpid());
  add_variable(words, count);
  add_variable(words, pid);
  if (names != NULL)
    add_variable(words, names - strlen("LISTEN_FDNAMES="));
}

// Of this process only: others that are joined to the container have nothing to say there.
static void name_notify(const struct plan *plan, struct command *words) {
  static char text[PATH_MAX + 16];
  const struct plan_op *op = plan_notify(plan);
  if (op == NULL)
    return;
  snprintf(text, sizeof text, "NOTIFY_SOCKET=%s", plan_string(plan, op->target));
  add_variable(words, text);
}

static int run_command(const struct plan *plan, struct command *words, int signals, int channel) {
  int executed[2] = {-1, -1};
  if (channel >= 0 && pipe2(executed, O_CLOEXEC) != 0)
    die_errno("cannot start the command: pipe");
  words->failure = channel >= 0 ? executed[1] : 0;
  pid_t command = fork();
  if (command < 0)
    die_errno("cannot start the command: fork");
  if (command == 0) {
    take_sockets(words);
    command_execute(plan, words);
  }
  if (!words->terminal)
    setpgid(command, command); // whoever comes first; a forwarded signal must find the group
  if (channel >= 0) {
    close(executed[1]);
    tell_executed(channel, executed[0]);
  }
  let_go(signals, -1);
  return supervise(command, signals, plan->config->stop_timeout);
}

int main(int argc, char **argv) {
  (void)argc;
  standalone_main *standalone = standalone_find(argv[0]);
  if (standalone != NULL)
    return standalone(argv);
  // Not to be traced or examined from inside, whatever capabilities are there: it has the host's paths in its
  // plan.
  prctl(PR_SET_DUMPABLE, 0ul, 0, 0, 0);
  prctl(PR_SET_NAME, "trees-init", 0, 0, 0);
  int signals = block_signals();
  struct plan plan;
  const char *problem = plan_map(plan_descriptor(), &plan);
  if (problem != NULL)
    die("cannot use the launch plan: %s", problem);
  if (exec_mode() != NULL)
    exec_mode_execute(&plan, argv + 1);
  bool terminal = getenv("TREES_TERMINAL") != NULL;
  struct command words = {.words = argv + 1, .terminal = terminal};
  int channel = channel_descriptor();
  if ((plan.config->flags & PLAN_NO_INIT) == 0)
    scope_begin(proc_descriptor());
  scripts_run(&plan, signals, channel);
  if ((plan.config->flags & PLAN_NO_INIT) != 0) {
    words.failure = channel >= 0 ? channel : 0;
    tell_failure = channel;
    die_set_hook(tell_failed);
    take_sockets(&words);
    name_notify(&plan, &words);
    command_execute(&plan, &words);
  }

  // A command that was given runs instead of services, but not instead of the plan's own command under
  // supervision.
  bool own =
      argv[1] == NULL || (plan.service_count > 0 && (plan.services[0].flags & PLAN_SERVICE_COMMAND) != 0);
  if (plan.service_count == 0 || !own)
    return run_command(&plan, &words, signals, channel);
  let_go(signals, channel);
  struct manage manage = {.signals = signals, .channel = channel, .terminal = terminal, .words = argv + 1};
  return manage_services(&plan, &manage);
}
