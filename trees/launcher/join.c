#include "join.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "cgroup-files.h"
#include "child.h"
#include "keeper.h"
#include "limits.h"
#include "privileges.h"
#include "syscalls.h"
#include "util.h"

#define VARIABLES 7 // of our own, before the command's

struct gate {
  int fd;       // eventfd: opens when the process is in its cgroups
  int launcher; // pidfd of the launcher
};

static char *setting(const char *name, const char *value) {
  size_t size = strlen(name) + strlen(value) + 2;
  char *text = malloc(size);
  if (text == NULL)
    die_errno("cannot start");
  snprintf(text, size, "%s=%s", name, value);
  return text;
}

static char **environment(const struct joining *joining, int launcher) {
  char number[16];
  char **env = calloc(joining->extra_count + VARIABLES + 2, sizeof *env);
  if (env == NULL)
    die_errno("cannot start");
  size_t count = 0;
  snprintf(number, sizeof number, "%d", joining->target->plan_fd);
  env[count++] = setting("TREES_PLAN_FD", number);
  snprintf(number, sizeof number, "%d", launcher);
  env[count++] = setting("TREES_EXEC_CALLER", number);
  if (joining->terminal->wanted)
    env[count++] = setting("TREES_TERMINAL", "1");
  if (joining->user != NULL)
    env[count++] = setting("TREES_EXEC_USER", joining->user);
  if (joining->workdir != NULL)
    env[count++] = setting("TREES_EXEC_WORKDIR", joining->workdir);
  if (joining->privileged)
    env[count++] = setting("TREES_EXEC_PRIVILEGED", "1");
  // What follows it is the command's.
  env[count++] = setting("TREES_EXEC", joining->detached ? "detached" : "1");
  for (size_t i = 0; i < joining->extra_count; i++)
    env[count++] = (char *)(uintptr_t)joining->extra[i];
  return env;
}

static char **arguments(char **words) {
  size_t count = 0;
  while (words[count] != NULL)
    count++;
  char **argv = calloc(count + 2, sizeof *argv);
  if (argv == NULL)
    die_errno("cannot start");
  argv[0] = (char[]){"trees-init"};
  memcpy(argv + 1, words, count * sizeof *argv);
  return argv;
}

_Noreturn static void become_command(const struct joining *joining, int launcher) {
  uint64_t capabilities = joining->privileged ? UINT64_MAX : privileges_of_init(&joining->target->plan);
  char **env = environment(joining, launcher);
  char **argv = arguments(joining->words);
  privileges_bound(capabilities);
  privileges_keep(capabilities);
  if (sys_close_range(3 + joining->preserve_fds, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
    die_errno("cannot close inherited files: close_range");
  for (unsigned i = 0; i < joining->preserve_fds; i++)
    if (fcntl(3 + (int)i, F_SETFD, 0) != 0)
      die_errno("cannot pass on descriptor %u", 3 + i);
  if (fcntl(joining->target->plan_fd, F_SETFD, 0) != 0 || fcntl(launcher, F_SETFD, 0) != 0)
    die_errno("cannot pass on the launch plan");
  sys_execveat(joining->init_fd, "", argv, env, AT_EMPTY_PATH);
  die_errno("cannot execute trees-init");
}

// Still on the host, but for the pid namespace.
_Noreturn static void enter(const struct joining *joining, const struct gate *gate, bool inside) {
  const struct target *target = joining->target;
  uint64_t value;
  child_tie(gate->launcher);
  if (setsid() < 0)
    die_errno("cannot start a session");
  if (!joining->privileged && (target->plan.config->flags & PLAN_NO_NEW_PRIVILEGES) != 0 &&
      prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0, 0, 0) != 0)
    die_errno("cannot set no-new-privileges");
  if (!inside && target->namespaces != 0 && sys_setns(target->pidfd, target->namespaces) != 0)
    die_errno("cannot join the namespaces of %s: setns", target->name);
  child_become_root(&target->plan);
  child_tie(gate->launcher);
  if (chdir("/") != 0)
    die_errno("cannot change to the root of %s", target->name);
  terminal_open(joining->terminal);
  if (target->count > 0 && RETRY(read(gate->fd, &value, sizeof value)) != sizeof value)
    die_errno("cannot wait for the launcher");
  become_command(joining, gate->launcher);
}

static struct clone_args clone_arguments(const struct target *target) {
  struct clone_args args = {.exit_signal = SIGCHLD};
  if (target->unified >= 0) {
    args.flags = CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)target->unified;
  }
  return args;
}

// As root, who may enter the pid namespace alone: children are created in it.
static struct container spawn(const struct joining *joining, const struct gate *gate) {
  const struct target *target = joining->target;
  struct container container = {.pidfd = -1};
  struct clone_args args = clone_arguments(target);
  args.flags |= CLONE_PIDFD;
  args.pidfd = (uint64_t)(uintptr_t)&container.pidfd;
  if (!plan_shares_pids(&target->plan) && sys_setns(target->pidfd, CLONE_NEWPID) != 0)
    die_errno("cannot join the pid namespace of %s: setns", target->name);
  container.pid = sys_clone3(&args);
  if (container.pid == 0)
    enter(joining, gate, false);
  if (container.pid < 0)
    die_errno("cannot create a process in %s: clone3", target->name);
  return container;
}

// Anybody else has to enter the user namespace first and cannot come back: a helper does, and gives the
// launcher a child.
_Noreturn static void helper(const struct joining *joining, const struct gate *gate, int result) {
  const struct target *target = joining->target;
  struct clone_args args = clone_arguments(target);
  args.flags |= CLONE_PARENT;
  args.exit_signal = 0; // the parent's, as the kernel wants it with CLONE_PARENT
  unsigned pid = plan_shares_pids(&target->plan) ? 0 : CLONE_NEWPID;
  if (sys_setns(target->pidfd, target->namespaces | pid) != 0)
    die_errno("cannot join the namespaces of %s: setns", target->name);
  pid_t child = sys_clone3(&args);
  if (child == 0)
    enter(joining, gate, true);
  if (child < 0)
    die_errno("cannot create a process in %s: clone3", target->name);
  if (write_all(result, &child, sizeof child) != 0)
    die_errno("cannot tell about the new process");
  _exit(0);
}

static struct container spawn_through_helper(const struct joining *joining, const struct gate *gate) {
  int result[2];
  if (pipe2(result, O_CLOEXEC) != 0)
    die_errno("cannot start");
  pid_t first = fork();
  if (first == 0)
    helper(joining, gate, result[1]);
  struct container container = {.pidfd = -1};
  close(result[1]);
  bool told =
      first > 0 && RETRY(read(result[0], &container.pid, sizeof container.pid)) == sizeof container.pid;
  close(result[0]);
  if (first > 0)
    (void)RETRY(waitpid(first, NULL, 0));
  if (!told)
    _exit(STATUS_FAILED); // it has said why
  container.pidfd = sys_pidfd_open(container.pid);
  if (container.pidfd < 0)
    die_errno("cannot watch the new process");
  return container;
}

struct entering {
  const struct joining *joining;
  const struct gate *gate;
};

static struct container create(const struct joining *joining, const struct gate *gate) {
  return plan_unprivileged(&joining->target->plan) ? spawn_through_helper(joining, gate)
                                                   : spawn(joining, gate);
}

static pid_t create_kept(void *context, int *pidfd) {
  const struct entering *entering = context;
  struct container container = create(entering->joining, entering->gate);
  *pidfd = container.pidfd;
  return container.pid;
}

// What it leaves behind lives as long as the container does.
static struct container start_kept(const struct joining *joining, const struct gate *gate) {
  struct entering entering = {.joining = joining, .gate = gate};
  struct container container = keeper_start(
      &(struct keeping){.create = create_kept, .context = &entering, .until = joining->target->pidfd});
  if (container.pid <= 0)
    _exit(STATUS_FAILED); // it has said why
  return container;
}

static void join_cgroups(const struct target *target, pid_t pid) {
  char text[24];
  snprintf(text, sizeof text, "%d", (int)pid);
  for (size_t i = 0; i < target->count; i++)
    if (cgroup_write(target->cgroups[i], "cgroup.procs", text) != 0 && errno != ESRCH)
      die_errno("cannot join the cgroups of %s", target->name);
}

struct container join_start(const struct joining *joining) {
  const struct target *target = joining->target;
  CLEANUP_FD int launcher = sys_pidfd_open(getpid());
  CLEANUP_FD int fd = eventfd(0, EFD_CLOEXEC);
  struct gate gate = {.fd = fd, .launcher = launcher};
  if (launcher < 0 || fd < 0)
    die_errno("cannot start");
  // From here on processes of the container see ours, and must not look into it (CVE-2016-9962).
  if (prctl(PR_SET_DUMPABLE, 0ul, 0, 0, 0) != 0)
    die_errno("cannot protect the new process: PR_SET_DUMPABLE");
  struct container container =
      plan_shares_pids(&target->plan) ? start_kept(joining, &gate) : create(joining, &gate);
  limits_raise(container.pid, &target->plan);
  join_cgroups(target, container.pid);
  uint64_t value = 1;
  if (target->count > 0 && RETRY(write(fd, &value, sizeof value)) != sizeof value)
    die_errno("cannot start the command");
  if (container.keeper != 0)
    keeper_started(&container);
  return container;
}
