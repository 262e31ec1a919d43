#include "container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "apply.h"
#include "cgroup.h"
#include "channel.h"
#include "child.h"
#include "hooks.h"
#include "ids.h"
#include "limits.h"
#include "network.h"
#include "privileges.h"
#include "root.h"
#include "syscalls.h"
#include "timing.h"
#include "util.h"

extern int sethostname(const char *, size_t); // behind a feature macro in some libcs

static uint64_t clone_flags(const struct plan *plan) {
  static const uint64_t flags[] = {CLONE_NEWNS,  CLONE_NEWPID,    CLONE_NEWIPC,
                                   CLONE_NEWUTS, CLONE_NEWCGROUP, CLONE_NEWNET};
  const struct plan_config *config = plan->config;
  uint64_t result = config->userns != PLAN_USERNS_HOST ? CLONE_NEWUSER : 0;
  for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
    if ((config->namespaces & (1u << i)) != 0)
      result |= flags[i];
  // The namespace's root is to be the container's own cgroup, which it is not in yet.
  return plan->cgroup_count == 0 ? result : result & ~(uint64_t)CLONE_NEWCGROUP;
}

_Noreturn static void become_init(const struct launch *launch) {
  const struct plan *plan = launch->plan;
  privileges_bound(privileges_of_init(plan));
  privileges_keep(privileges_of_init(plan));

  char variable[32];
  char channel[32];
  char terminal[] = "TREES_TERMINAL=1";
  char sockets[32];
  char *env[] = {variable, NULL, NULL, NULL, NULL, NULL};
  size_t variables = 1;
  snprintf(variable, sizeof variable, "TREES_PLAN_FD=%d", launch->plan_fd);
  snprintf(channel, sizeof channel, CHANNEL_VARIABLE "=%d", launch->channel_fd);
  if (launch->terminal->wanted)
    env[variables++] = terminal;
  if (launch->channel_fd >= 0)
    env[variables++] = channel;
  snprintf(sockets, sizeof sockets, "TREES_LISTEN_FDS=%u", launch->listen_fds);
  char *names = getenv("LISTEN_FDNAMES");
  if (launch->listen_fds > 0)
    env[variables++] = sockets;
  if (launch->listen_fds > 0 && names != NULL)
    env[variables++] = names - strlen("LISTEN_FDNAMES=");
  size_t words = 0;
  while (launch->command[words] != NULL)
    words++;
  char **argv = calloc(words + 2, sizeof *argv);
  if (argv == NULL)
    die_errno("cannot start");
  argv[0] = (char[]){"trees-init"};
  memcpy(argv + 1, launch->command, words * sizeof *argv);

  if (sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
    die_errno("cannot close inherited files: close_range");
  if (fcntl(launch->plan_fd, F_SETFD, 0) != 0)
    die_errno("cannot pass on the launch plan");
  if (launch->channel_fd >= 0 && fcntl(launch->channel_fd, F_SETFD, 0) != 0)
    die_errno("cannot pass on the channel to the launcher");
  for (int fd = 3; fd < 3 + (int)launch->preserve_fds; fd++)
    if (fcntl(fd, F_SETFD, 0) != 0)
      die_errno("cannot pass on descriptor %d", fd);
  timing_mark("privileges", "");
  sys_execveat(launch->init_fd, "", argv, env, AT_EMPTY_PATH);
  die_errno("cannot execute trees-init");
}

static void wait_for_launcher(int go) {
  uint64_t value;
  if (RETRY(read(go, &value, sizeof value)) != sizeof value)
    die_errno("cannot wait for the launcher");
}

// An eventfd, not a pipe: when the container has died there is nobody to read, and that must not raise
// SIGPIPE.
static void let_go(int go) {
  uint64_t value = 1;
  if (RETRY(write(go, &value, sizeof value)) != sizeof value)
    die_errno("cannot start the container");
}

// The namespace's root is to be the container's own cgroup, so it comes after joining that.
static void enter_cgroups(const struct plan *plan, int go) {
  if (plan->cgroup_count == 0)
    return;
  wait_for_launcher(go);
  if ((plan->config->namespaces & PLAN_NS_CGROUP) != 0 && sys_unshare(CLONE_NEWCGROUP) != 0)
    die_errno("cannot create the container's cgroup namespace: unshare");
}

_Noreturn static void run_container(const struct launch *launch, int go, int launcher) {
  const struct plan *plan = launch->plan;
  die_set_cleanup(NULL); // these are the launcher's
  die_set_hook(NULL);
  timing_enter_container();
  streams_enter(launch->streams);
  child_tie(launcher);
  // An own session: the terminal's signals reach the launcher only, which forwards them.
  if (setsid() < 0)
    die_errno("cannot start a session");
  if ((plan->config->flags & PLAN_NO_NEW_PRIVILEGES) != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0, 0, 0) != 0)
    die_errno("cannot set no-new-privileges");
  wait_for_launcher(go);
  timing_mark("wait for the launcher", "");
  child_become_root(plan);
  // Changing ids has cleared it.
  child_tie(launcher);

  struct root root;
  if (plan_unprivileged(plan))
    sources_open(plan, launch->sources);
  root_build(plan, launch->sources, &root);
  timing_mark("mount the tree", "");
  apply_operations(plan, launch->sources, &root);
  root_enter(plan, &root);
  timing_mark("enter the root", "");

  const char *hostname = plan_string(plan, plan->config->hostname);
  if (hostname[0] != '\0' && sethostname(hostname, strlen(hostname)) != 0)
    die_errno("cannot set the host name %s", hostname);
  if ((plan->config->namespaces & PLAN_NS_NET) != 0)
    network_loopback_up();
  timing_mark("host name and network", "");
  terminal_open(launch->terminal);
  enter_cgroups(plan, go);
  timing_mark("terminal and cgroups", "");
  apply_cgroups(plan, &root);
  become_init(launch);
}

static struct container spawn(const struct launch *launch, int *go) {
  CLEANUP_FD int launcher = sys_pidfd_open(getpid());
  *go = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
  if (launcher < 0 || *go < 0)
    die_errno("cannot start");
  struct container container = {.pidfd = -1};
  struct clone_args args = {.flags = clone_flags(launch->plan) | CLONE_PIDFD,
                            .pidfd = (uint64_t)(uintptr_t)&container.pidfd,
                            .exit_signal = SIGCHLD};
  int cgroup = cgroups_clone_into(launch->cgroups);
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)cgroup;
  }
  container.pid = sys_clone3(&args);
  if (container.pid == 0)
    run_container(launch, *go, launcher);
  if (container.pid < 0 && (errno == EPERM || errno == ENOSPC || errno == EUSERS) &&
      launch->plan->config->userns != PLAN_USERNS_HOST)
    die_errno("cannot create the container's namespaces (user namespaces may be restricted: see "
              "user.max_user_namespaces, kernel.unprivileged_userns_clone and "
              "kernel.apparmor_restrict_unprivileged_userns in sysctl)");
  if (container.pid < 0)
    die_errno("cannot create the container's namespaces: clone3");
  return container;
}

// Until the container's first process has executed the init, or has ended.
static void wait_for_init(int executed[2]) {
  char nothing;
  if (executed[0] < 0)
    return;
  close(executed[1]);
  (void)!RETRY(read(executed[0], &nothing, 1));
  close(executed[0]);
  timing_mark("wait for the init", "");
}

static void stop(const struct container *container) {
  sys_pidfd_send_signal(container->pidfd, SIGKILL);
  (void)RETRY(waitpid(container->pid, NULL, 0));
  close(container->pidfd);
}

// False when the tree's file system has no idmapped mounts; the container is still waiting then.
static bool prepare_ids(const struct launch *launch, const struct container *container, bool identity) {
  const char *path = NULL;
  ids_write(container->pid, launch->plan, identity);
  if (identity || plan_unprivileged(launch->plan))
    return true;
  CLEANUP_FD int userns = ids_open_namespace(container->pid);
  if (sources_idmap(launch->plan, launch->sources, userns, &path))
    return true;
  if (errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM)
    die_errno("cannot show %s with the container's user ids", path);
  warning_errno(
      "no idmapped mounts on %s: user ids in the container are the host's own, so isolation is weaker "
      "(capabilities still hold inside the container only)",
      path);
  return false;
}

// While it builds its file systems: version 1 makes whoever moves a process wait, often for milliseconds.
static void attach(const struct launch *launch, const struct container *container, int go) {
  const char *failed = cgroups_attach(launch->plan, launch->cgroups, container->pid);
  if (failed != NULL) {
    stop(container);
    die("cannot limit the container: %s", failed);
  }
  if (launch->plan->cgroup_count > 0)
    let_go(go);
}

struct container container_start(const struct launch *launch) {
  int go;
  const char *failed = cgroups_prepare(launch->plan, launch->cgroups);
  if (failed != NULL)
    die("cannot limit the container: %s", failed);
  timing_mark("prepare cgroups", "");
  int executed[2] = {-1, -1};
  if (timing_wanted() && pipe2(executed, O_CLOEXEC) != 0)
    die_errno("cannot measure what the start costs");
  struct container container = spawn(launch, &go);
  timing_mark("create the namespaces", "clone3");
  if (launch->plan->config->userns != PLAN_USERNS_HOST && !prepare_ids(launch, &container, false)) {
    // Maps can be written once only: start over.
    stop(&container);
    close(go);
    container = spawn(launch, &go);
    prepare_ids(launch, &container, true);
  }
  timing_mark("set the user ids", "");
  limits_raise(container.pid, launch->plan);
  failed = hooks_run(launch->plan, PLAN_HOOK_PRESTART, container.pid);
  if (failed != NULL) {
    stop(&container);
    die("cannot start the container: %s", failed);
  }
  let_go(go);
  attach(launch, &container, go);
  close(go);
  timing_mark("limits, hooks and cgroups", "");
  // A bind source can be unmounted on the host once the container lets go of it.
  sources_close(launch->plan, launch->sources);
  timing_mark("let go of sources", "");
  wait_for_init(executed);
  return container;
}
