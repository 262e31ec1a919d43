// trees-launch: starts the container that a launch plan describes and stays with it.
//
//   trees-launch [OPTION…] (PLAN | --plan-fd=N) [COMMAND…]   COMMAND replaces the plan's
//   trees-launch --command=PLAN SCRIPT [ARGS…]               as the interpreter of an exported command: ARGS
//   are added trees-launch --exec RUNDIR [OPTION…] -- COMMAND…         runs a command in a running instance
//   trees-launch --attach RUNDIR [OPTION…]                   connects the caller's streams to a running
//   instance
//
// --tty               gives the container a terminal of its own, connected to standard input and output
// --detach            leaves the instance to a monitor: prints its name once the command was executed
// --die-with-parent=PID, --pid-file=PATH, --status-fd=N, --preserve-fds=N, --sdnotify=MODE, --explain-time
//
// Exit status: the command's, 128+n for a signal, 126 not executable, 127 not found, 125 if it could not be
// started for any other reason.
#include <string.h>
#include <sys/prctl.h>

#include "attach.h"
#include "container.h"
#include "exec.h"
#include "init-copy.h"
#include "locks.h"
#include "options.h"
#include "supervise.h"
#include "syscalls.h"
#include "util.h"

// With one of them closed, the next file opened would become the container's standard stream.
static void ensure_standard_streams(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
      _exit(STATUS_FAILED);
}

static void die_with_parent(pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0, 0, 0) != 0)
    die_errno("cannot tie the launcher to its parent");
  if (getppid() != parent)
    _exit(STATUS_FAILED);
}

static int open_plan(const struct options *options, struct plan *plan) {
  const char *name = options->plan_path != NULL ? options->plan_path : "passed on";
  int fd = options->plan_path != NULL ? open(options->plan_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
                                      : options->plan_fd;
  if (fd < 0)
    die_errno("cannot open the launch plan %s", name);
  const char *problem = plan_map(fd, plan);
  if (problem != NULL)
    die("cannot use the launch plan %s: %s", name, problem);
  return fd;
}

static int launch_main(int argc, char **argv) {
  struct options options = options_parse(argc, argv);
  if (options.parent != 0)
    die_with_parent(options.parent);

  struct plan plan;
  struct sources sources = {0};
  struct cgroups cgroups = {0};
  struct terminal terminal = {.wanted = options.tty};
  struct launch launch = {.plan = &plan,
                          .sources = &sources,
                          .cgroups = &cgroups,
                          .terminal = &terminal,
                          .command = options.command};
  launch.plan_fd = open_plan(&options, &plan);
  if (geteuid() != 0 && plan.config->userns != PLAN_USERNS_SELF)
    die("cannot start the container: its launch plan was made for root");
  locks_hold(&plan);
  launch.init_fd = init_copy();
  int signals = supervise_block_signals();
  if (plan.config->userns != PLAN_USERNS_SELF)
    sources_open(&plan, &sources);

  terminal_prepare(&terminal);
  struct container container = container_start(&launch);
  int status = supervise(&container, signals, &terminal);
  cgroups_finish(&cgroups);
  return status;
}

int main(int argc, char **argv) {
  ensure_standard_streams();
  // Whatever the caller left open stays with the launcher (a lock, say) and never reaches the container.
  if (sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
    die_errno("cannot mark inherited files: close_range needs Linux 5.11");
  if (argc > 1 && strcmp(argv[1], "--exec") == 0)
    return exec_main(argc, argv);
  if (argc > 1 && strcmp(argv[1], "--attach") == 0)
    return attach_main(argc, argv);
  return launch_main(argc, argv);
}
