// trees-launch: starts the container that a launch plan describes and stays with it.
//
//   trees-launch [OPTION…] (PLAN | --plan-fd=N) [COMMAND…]   COMMAND replaces the plan's
//   trees-launch --command=PLAN SCRIPT [ARGS…]               of an exported command; adds ARGS
//
//   trees-launch --exec RUNDIR [OPTION…] -- COMMAND…         runs a command in a running instance
//
//   trees-launch --attach RUNDIR [OPTION…]                   connects the caller's streams to one
//
// --tty               gives the container a terminal of its own, connected to standard input and output
// --detach            leaves the instance to a monitor: prints its name once the command was executed
// --die-with-parent=PID, --pid-file=PATH, --status-fd=N, --preserve-fds=N, --listen-fds=N,
// --hold-fd=N, --sdnotify=MODE,
// --explain-time[=json]
//
// Exit status: the command's, 128+n for a signal, 126 not executable, 127 not found, 125 if it could not be
// started for any other reason.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "attach.h"
#include "exec.h"
#include "instance.h"
#include "resume.h"
#include "signals.h"
#include "syscalls.h"
#include "timing.h"
#include "util.h"

#ifdef __SANITIZE_ADDRESS__
// The search for leaks at exit traces the process, and waits for ever where that is not allowed.
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "detect_leaks=0";
}
#endif

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

// The copy in the instance's directory, which may be a newer one than that of the run before.
static int reopen_plan(const struct instance *instance) {
  return instance->state.dir >= 0 ? state_open_plan(&instance->state) : instance->launch.plan_fd;
}

static void map_plan(struct instance *instance) {
  const struct options *options = &instance->options;
  const char *name = options->plan_path != NULL ? options->plan_path : "passed on";
  int fd = instance->resumed ? reopen_plan(instance)
           : options->plan_path != NULL
               ? open(options->plan_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
               : options->plan_fd;
  if (fd < 0)
    die_errno("cannot open the launch plan %s", name);
  const char *problem = plan_map(fd, &instance->plan);
  if (problem != NULL)
    die("cannot use the launch plan %s: %s", name, problem);
  if (geteuid() != 0 && !plan_unprivileged(&instance->plan))
    die("cannot start the container: its launch plan was made for root");
  instance->launch.plan_fd = fd;
}

// Those that the caller says it passes on.
static void check_preserved(const struct options *options) {
  for (int fd = 3; fd < 3 + (int)options->preserve_fds; fd++)
    if (fcntl(fd, F_GETFD) < 0)
      die("cannot pass on descriptor %d (--preserve-fds=%u): it is not open", fd, options->preserve_fds);
}

static void read_supervision(struct instance *instance) {
  static const struct plan_supervision none = {.stop_timeout = 10000};
  const struct plan_supervision *supervision = instance->plan.supervision;
  instance->supervision = supervision != NULL ? supervision : &none;
  uint32_t flags = instance->supervision->flags;
  bool on_terminal = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
  if ((flags & PLAN_SUPERVISION_TTY) != 0 || ((flags & PLAN_SUPERVISION_TTY_AUTO) != 0 && on_terminal))
    instance->options.tty = true;
}

// What is new for this run, and what goes on from the one before.
static void open_state(struct instance *instance) {
  const struct plan *plan = &instance->plan;
  if (instance->resumed) {
    instance->state.plan = plan;
    return;
  }
  state_open(&instance->state, plan);
  instance->state.tty = instance->options.tty;
  instance->state.detached = instance->options.detach;
  state_keep_plan(&instance->state, instance->launch.plan_fd);
  control_open(&instance->control, instance->state.dir);
}

// The plan's command with the caller's arguments.
static char **plan_command(const struct plan *plan, char **arguments) {
  size_t count = 0;
  while (arguments[count] != NULL)
    count++;
  char **words = calloc(plan->argv_count + count + 1, sizeof *words);
  if (words == NULL)
    die_errno("cannot start");
  for (size_t i = 0; i < plan->argv_count; i++)
    words[i] = (char *)(uintptr_t)plan_string(plan, plan->argv[i]);
  memcpy(words + plan->argv_count, arguments, count * sizeof *words);
  return words;
}

static void set_launch(struct instance *instance) {
  instance->terminal.wanted = instance->options.tty;
  instance->terminal.keep_open = (instance->plan.config->flags & PLAN_NO_INIT) != 0;
  instance->launch.plan = &instance->plan;
  instance->launch.sources = &instance->sources;
  instance->launch.cgroups = &instance->cgroups;
  instance->launch.terminal = &instance->terminal;
  instance->launch.preserve_fds = instance->options.preserve_fds;
  instance->launch.listen_fds = instance->options.listen_fds;
  instance->launch.command = instance->options.command;
  instance->control.handler = instance_request;
  instance->control.context = instance;
  if (instance->options.exported)
    instance->launch.command = plan_command(&instance->plan, instance->options.command);
}

static void leave_caller(struct instance *instance) {
  const struct options *options = &instance->options;
  // Nothing but a name in a directory makes a detached instance reachable.
  uint32_t name = instance->supervision->run_dir == 0 ? 0 : instance->supervision->name;
  size_t count = options->preserve_fds;
  int *keep = calloc(count + options->hold_count + 2, sizeof *keep);
  if (keep == NULL)
    die_errno("cannot detach");
  for (size_t i = 0; i < count; i++)
    keep[i] = 3 + (int)i;
  for (size_t i = 0; i < options->hold_count; i++)
    keep[count++] = options->hold[i];
  keep[count++] = instance->launch.plan_fd;
  if (options->status_fd >= 3)
    keep[count++] = options->status_fd;
  instance->detached = detach(plan_string(&instance->plan, name), keep, count);
  free(keep);
}

static int launch_main(int argc, char **argv) {
  static struct instance instance = {.channel = -1,
                                     .next_plan = -1,
                                     .launch = {.init_fd = -1, .proc_fd = -1},
                                     .detached = {.started = -1},
                                     .streams = {.out = -1, .err = -1, .in = -1},
                                     .control = {.listener = -1},
                                     .locks = {.tree = -1, .own = -1}};
  const char *failed = NULL;
  instance.argv = argv;
  instance.options = options_parse(argc, argv);
  instance.resumed = instance.options.resume_fd >= 0;
  if (instance.resumed)
    failed = resume_load(&instance);
  else if (instance.options.parent != 0)
    die_with_parent(instance.options.parent);
  check_preserved(&instance.options);
  if (instance.options.explain_time && !instance.resumed)
    timing_start();
  map_plan(&instance);
  timing_mark("map the plan", "");
  read_supervision(&instance);
  if (instance.options.detach && !instance.resumed)
    leave_caller(&instance);
  // A reader that goes away is noticed where it is written to.
  signal(SIGPIPE, SIG_IGN);
  instance.signals = signals_block();
  report_open(&instance.report, &instance.options);
  instance_expect_failure(&instance);
  open_state(&instance);
  timing_mark("open state", "");
  set_launch(&instance);
  if (failed != NULL)
    return instance_retry(&instance, failed);
  instance.locks = locks_hold(&instance.plan, instance.locks);
  timing_mark("take the locks", "");
  instance_start(&instance);
  return instance_supervise(&instance);
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
