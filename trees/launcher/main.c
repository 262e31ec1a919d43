// trees-launch: starts the container that a launch plan describes and waits for it.
//
//   trees-launch [--tty] [--die-with-parent=PID] (PLAN | --plan-fd=N) [COMMAND…]
//
// --tty gives the container a terminal of its own, connected to standard input and output.
//
// COMMAND replaces the plan's. Exit status: the command's, 128+n for a signal, 126 not executable, 127 not
// found, 125 if it could not be started for any other reason.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "container.h"
#include "supervise.h"
#include "syscalls.h"
#include "util.h"

#ifndef TREES_VERSION
#define TREES_VERSION "dev"
#endif

struct options {
  const char *plan_path;
  int plan_fd;
  pid_t parent;
  bool tty;
  char **command;
};

static long number(const char *text, const char *option) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < 0 || value > INT_MAX)
    die("wrong usage: expected %s to be a number, got \"%s\"", option, text);
  return value;
}

static struct options parse_options(int argc, char **argv) {
  static const char plan_fd[] = "--plan-fd=";
  static const char parent[] = "--die-with-parent=";
  struct options options = {.plan_fd = -1};
  int at = 1;
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
    if (strncmp(argv[at], plan_fd, sizeof plan_fd - 1) == 0) {
      options.plan_fd = (int)number(argv[at] + sizeof plan_fd - 1, "--plan-fd");
    } else if (strncmp(argv[at], parent, sizeof parent - 1) == 0) {
      options.parent = (pid_t)number(argv[at] + sizeof parent - 1, "--die-with-parent");
    } else if (strcmp(argv[at], "--tty") == 0) {
      options.tty = true;
    } else if (strcmp(argv[at], "--version") == 0) {
      puts("trees-launch " TREES_VERSION);
      exit(0);
    } else {
      die("wrong usage: unknown option %s", argv[at]);
    }
  }
  if (options.plan_fd < 0 && at < argc)
    options.plan_path = argv[at++];
  if (options.plan_fd < 0 && options.plan_path == NULL)
    die("wrong usage: expected a launch plan: trees-launch PLAN [COMMAND...]");
  options.command = argv + at;
  return options;
}

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

// Both locks are held until the launcher ends, however it ends. Garbage collection leaves alone what is
// locked.
static void hold_locks(const struct plan *plan) {
  const char *shared = plan_string(plan, plan->config->lock_file);
  const char *own = plan_string(plan, plan->config->own_lock);
  if (shared[0] != '\0') {
    struct stat status;
    int fd = open(shared, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
      die_errno("cannot open the lock %s", shared);
    if (RETRY(flock(fd, LOCK_SH | LOCK_NB)) != 0)
      die_errno("cannot lock %s: it is being removed", shared);
    if (fstat(fd, &status) != 0 || status.st_nlink == 0)
      die("cannot lock %s: it has been removed", shared);
  }
  if (own[0] != '\0') {
    int fd = open(own, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
      die_errno("cannot open the lock %s", own);
    if (RETRY(flock(fd, LOCK_EX | LOCK_NB)) != 0)
      die("the instance is running already: %s is locked (another --name, or --ephemeral, gives another "
          "instance)",
          own);
  }
}

static void init_path(char path[PATH_MAX]) {
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 16);
  if (length <= 0)
    die_errno("cannot find trees-init: /proc/self/exe");
  path[length] = '\0';
  char *slash = strrchr(path, '/');
  strcpy(slash == NULL ? path : slash + 1, "trees-init");
}

// The container executes a sealed copy in memory: what it could reach through /proc/1/exe is not the file
// that the next container starts from (CVE-2019-5736).
static int sealed_init(void) {
  char path[PATH_MAX];
  init_path(path);
  CLEANUP_FD int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0)
    die_errno("cannot open %s", path);
  int copy = sys_memfd_create("trees-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (copy < 0 && errno == EINVAL) // Linux before 6.3: always executable
    copy = sys_memfd_create("trees-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (copy < 0)
    die_errno("cannot copy %s: memfd_create", path);
  char buffer[32768];
  ssize_t count;
  while ((count = RETRY(read(file, buffer, sizeof buffer))) > 0)
    if (write_all(copy, buffer, (size_t)count) != 0)
      die_errno("cannot copy %s", path);
  if (count < 0)
    die_errno("cannot read %s", path);
  if (fchmod(copy, 0555) != 0 ||
      fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    die_errno("cannot seal the copy of %s", path);
  return copy;
}

int main(int argc, char **argv) {
  ensure_standard_streams();
  // Whatever the caller left open stays with the launcher (a lock, say) and never reaches the container.
  if (sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
    die_errno("cannot mark inherited files: close_range needs Linux 5.11");
  struct options options = parse_options(argc, argv);
  if (options.parent != 0)
    die_with_parent(options.parent);

  struct plan plan;
  struct sources sources = {0};
  struct terminal terminal = {.wanted = options.tty};
  struct launch launch = {
      .plan = &plan, .sources = &sources, .terminal = &terminal, .command = options.command};
  launch.plan_fd = open_plan(&options, &plan);
  if (geteuid() != 0 && plan.config->userns != PLAN_USERNS_SELF)
    die("cannot start the container: its launch plan was made for root");
  hold_locks(&plan);
  launch.init_fd = sealed_init();
  int signals = supervise_block_signals();
  if (plan.config->userns != PLAN_USERNS_SELF)
    sources_open(&plan, &sources);

  terminal_prepare(&terminal);
  struct container container = container_start(&launch);
  return supervise(&container, signals, &terminal);
}
