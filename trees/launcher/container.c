#include "container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "apply.h"
#include "cgroup.h"
#include "channel.h"
#include "child.h"
#include "handover.h"
#include "hooks.h"
#include "ids.h"
#include "init-copy.h"
#include "keeper.h"
#include "limits.h"
#include "network.h"
#include "privileges.h"
#include "root.h"
#include "syscalls.h"
#include "timing.h"
#include "util.h"

extern int sethostname(const char *, size_t); // behind a feature macro in some libcs

// Those that a process has to be created in. The other ones, which take much longer, it makes itself,
// meanwhile.
#define CREATED_WITH (CLONE_NEWUSER | CLONE_NEWPID)

static unsigned namespaces(const struct plan *plan) {
  static const unsigned flags[] = {CLONE_NEWNS,  CLONE_NEWPID,    CLONE_NEWIPC,
                                   CLONE_NEWUTS, CLONE_NEWCGROUP, CLONE_NEWNET};
  const struct plan_config *config = plan->config;
  unsigned result = config->userns != PLAN_USERNS_HOST ? CLONE_NEWUSER : 0;
  for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
    if ((config->namespaces & (1u << i)) != 0)
      result |= flags[i];
  // The namespace's root is to be the container's own cgroup, which it is not in yet.
  return plan->cgroup_count == 0 ? result : result & ~(unsigned)CLONE_NEWCGROUP;
}

_Noreturn static void refused(const struct plan *plan, const char *call) {
  if ((errno == EPERM || errno == ENOSPC || errno == EUSERS) && plan->config->userns != PLAN_USERNS_HOST)
    die_errno("cannot create the container's namespaces (user namespaces may be restricted: see "
              "user.max_user_namespaces, kernel.unprivileged_userns_clone and "
              "kernel.apparmor_restrict_unprivileged_userns in sysctl)");
  die_errno("cannot create the container's namespaces: %s", call);
}

_Noreturn static void become_init(const struct launch *launch, int init) {
  const struct plan *plan = launch->plan;
  privileges_bound(privileges_of_init(plan));
  privileges_keep(privileges_of_init(plan));

  char variable[32];
  char channel[32];
  char terminal[] = "TREES_TERMINAL=1";
  char sockets[32];
  char proc[32];
  char *env[] = {variable, NULL, NULL, NULL, NULL, NULL, NULL};
  size_t variables = 1;
  snprintf(variable, sizeof variable, "TREES_PLAN_FD=%d", launch->plan_fd);
  snprintf(channel, sizeof channel, CHANNEL_VARIABLE "=%d", launch->channel_fd);
  if (launch->terminal->wanted)
    env[variables++] = terminal;
  if (launch->channel_fd >= 0)
    env[variables++] = channel;
  snprintf(proc, sizeof proc, "TREES_PROC_FD=%d", launch->proc_fd);
  if (launch->proc_fd >= 0)
    env[variables++] = proc;
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
  if (launch->proc_fd >= 0 && fcntl(launch->proc_fd, F_SETFD, 0) != 0)
    die_errno("cannot pass on /proc");
  for (int fd = 3; fd < 3 + (int)launch->preserve_fds; fd++)
    if (fcntl(fd, F_SETFD, 0) != 0)
      die_errno("cannot pass on descriptor %d", fd);
  timing_mark("privileges", "");
  sys_execveat(init, "", argv, env, AT_EMPTY_PATH);
  die_errno("cannot execute trees-init");
}

// When the launcher gives up, it has said why.
static void take(int handover, int *fds, size_t count) {
  if (!handover_take(handover, fds, count))
    _exit(STATUS_FAILED);
}

// What process 1 will say goes to the launcher.
static void give_notify(const struct plan *plan, const struct sources *sources, int handover) {
  const struct plan_op *op = plan_notify(plan);
  if (op != NULL)
    handover_give(handover, &sources->fds[op - plan->ops], 1);
}

// The namespace's root is to be the container's own cgroup, so it comes after joining that.
static void enter_cgroups(const struct plan *plan, int handover) {
  if (plan->cgroup_count == 0)
    return;
  take(handover, NULL, 0);
  if ((plan->config->namespaces & PLAN_NS_CGROUP) != 0 && sys_unshare(CLONE_NEWCGROUP) != 0)
    die_errno("cannot create the container's cgroup namespace: unshare");
}

// All that needs nothing from the launcher.
static void make_namespaces(const struct plan *plan, struct network *network, int handover) {
  const char *hostname = plan_string(plan, plan->config->hostname);
  network_begin(plan, network);
  if (sys_unshare(namespaces(plan) & ~(unsigned)(CREATED_WITH | CLONE_NEWNET)) != 0)
    refused(plan, "unshare");
  if (hostname[0] != '\0' && sethostname(hostname, strlen(hostname)) != 0)
    die_errno("cannot set the host name %s", hostname);
  timing_mark("create the namespaces", "");
  if (plan->hook_count == 0)
    return;
  network_join(network);
  handover_give(handover, NULL, 0);
  timing_mark("wait for the network", "");
}

_Noreturn static void run_container(const struct launch *launch, int handover, int launcher) {
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
  struct network network;
  make_namespaces(plan, &network, handover);
  struct sources sources = sources_none(plan);
  take(handover, sources.fds, plan->op_count + 1);
  int init = sources.fds[plan->op_count];
  timing_mark("wait for the launcher", "");
  child_become_root(plan);
  // Changing ids has cleared it.
  child_tie(launcher);

  struct root root;
  if (plan_unprivileged(plan))
    sources_open(plan, &sources);
  root_build(plan, &sources, handover, &root);
  timing_mark("mount the tree", root.served ? "fuse-overlayfs" : "");
  apply_operations(plan, &sources, &root, &network);
  give_notify(plan, &sources, handover);
  network_join(&network); // if no operation has
  root_enter(plan, &root);
  timing_mark("enter the root", "");

  terminal_open(launch->terminal);
  enter_cgroups(plan, handover);
  timing_mark("terminal and cgroups", "");
  apply_cgroups(plan, &root);
  become_init(launch, init);
}

struct creation {
  const struct launch *launch;
  int ours;
  int theirs;
};

static pid_t create(void *context, int *pidfd) {
  const struct creation *creation = context;
  const struct launch *launch = creation->launch;
  CLEANUP_FD int parent = sys_pidfd_open(getpid());
  if (parent < 0)
    return -1;
  struct clone_args args = {.flags = (namespaces(launch->plan) & CREATED_WITH) | CLONE_PIDFD,
                            .pidfd = (uint64_t)(uintptr_t)pidfd,
                            .exit_signal = SIGCHLD};
  int cgroup = cgroups_clone_into(launch->cgroups);
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)cgroup;
  }
  pid_t pid = sys_clone3(&args);
  if (pid == 0) {
    close(creation->ours);
    run_container(launch, creation->theirs, parent);
  }
  return pid;
}

// Returns the launcher's end of what connects both until the init is executed.
static int spawn(const struct launch *launch, struct container *container) {
  struct creation creation = {.launch = launch};
  *container = (struct container){.pidfd = -1, .notify = -1, .told = -1, .tree = {.pidfd = -1}};
  if (!handover_open(&creation.ours, &creation.theirs))
    die_errno("cannot start");
  struct container created = *container;
  bool shared = plan_shares_pids(launch->plan);
  // Root's processes in there see the launcher, and must not look into it.
  if (shared && launch->plan->config->userns == PLAN_USERNS_HOST && prctl(PR_SET_DUMPABLE, 0ul, 0, 0, 0) != 0)
    die_errno("cannot protect the launcher: PR_SET_DUMPABLE");
  if (shared)
    created = keeper_start(&(struct keeping){.create = create, .context = &creation, .until = -1});
  else
    created.pid = create(&creation, &created.pidfd);
  if (created.pid < 0)
    refused(launch->plan, "clone3");
  if (created.pid == 0)
    die("cannot start the container: what keeps it has ended");
  *container = created;
  launch->cgroups->init = shared ? created.pidfd : -1;
  close(creation.theirs);
  return creation.ours;
}

int container_end_descriptor(const struct container *container) {
  return container->keeper != 0 ? container->told : container->pidfd;
}

int container_wait(struct container *container) {
  int status;
  if (container->keeper != 0)
    return keeper_wait(container);
  return RETRY(waitpid(container->pid, &status, 0)) < 0 ? -1 : status;
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

static void stop(struct container *container) {
  sys_pidfd_send_signal(container->pidfd, SIGKILL);
  (void)container_wait(container);
  close(container->pidfd);
  container->pid = 0;
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
static void attach(const struct launch *launch, const struct container *container, int handover) {
  const char *failed = cgroups_attach(launch->plan, launch->cgroups, container->pid);
  if (failed != NULL)
    die("cannot limit the container: %s", failed);
  if (launch->plan->cgroup_count > 0)
    handover_give(handover, NULL, 0);
}

// They find a container with all its namespaces.
static void run_hooks(const struct launch *launch, const struct container *container, int handover) {
  if (launch->plan->hook_count == 0 || !handover_take(handover, NULL, 0))
    return;
  const char *failed = hooks_run(launch->plan, PLAN_HOOK_PRESTART, container->pid);
  if (failed != NULL)
    die("cannot start the container: %s", failed);
}

// While the kernel makes the namespaces.
static void open_host(struct launch *launch) {
  launch->init_fd = init_open(launch->plan, launch->init_fd);
  timing_mark("open the init", "");
  if (!plan_unprivileged(launch->plan))
    sources_open(launch->plan, launch->sources);
  timing_mark("open what comes from the host", "");
}

void container_start(struct launch *launch, struct container *container) {
  const char *failed = cgroups_prepare(launch->plan, launch->cgroups);
  if (failed != NULL)
    die("cannot limit the container: %s", failed);
  timing_mark("prepare cgroups", "");
  int executed[2] = {-1, -1};
  if (timing_wanted() && pipe2(executed, O_CLOEXEC) != 0)
    die_errno("cannot measure what the start costs");
  const struct plan *plan = launch->plan;
  *launch->sources = sources_none(plan);
  launch->proc_fd = plan_shares_pids(plan) && (plan->config->flags & PLAN_NO_INIT) == 0 ? keeper_proc() : -1;
  int handover = spawn(launch, container);
  timing_mark("create the process", "clone3");
  open_host(launch);
  if (plan->config->userns != PLAN_USERNS_HOST && !prepare_ids(launch, container, false)) {
    // Maps can be written once only: start over.
    stop(container);
    close(handover);
    handover = spawn(launch, container);
    prepare_ids(launch, container, true);
    // Its ids are the host's: it might write to what it runs.
    close_fd(&launch->init_fd);
    launch->init_fd = init_copy();
  }
  timing_mark("set the user ids", "");
  limits_raise(container->pid, plan);
  run_hooks(launch, container, handover);
  launch->sources->fds[plan->op_count] = launch->init_fd;
  handover_give(handover, launch->sources->fds, plan->op_count + 1);
  attach(launch, container, handover);
  timing_mark("limits, hooks and cgroups", "");
  tree_server_start(plan, container->pidfd, handover, &container->tree);
  if (plan_notify(plan) != NULL) // where it has ended before, its end tells
    (void)handover_take(handover, &container->notify, 1);
  close(handover);
  if (container->keeper != 0)
    keeper_started(container);
  close_fd(&launch->proc_fd);
  // A bind source can be unmounted on the host once the container lets go of it.
  sources_close(plan, launch->sources);
  timing_mark("let go of sources", "");
  wait_for_init(executed);
}
