#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "handover.h"
#include "mounts.h"
#include "processes.h"
#include "syscalls.h"
#include "util.h"

#define KILL_INTERVAL 20   // milliseconds between KILLs while something still forks
#define INIT_PATIENCE 5000 // that an init gets whose keeper has been killed

struct created {
  pid_t pid;
  int error;
};

struct keeper {
  int told;     // to the launcher; -1: has been told
  int launcher; // pidfd; -1: is gone
  int until;    // pidfd; -1: none
  int proc;
  int children; // signalfd
  pid_t process;
  int status;   // when it has ended
  bool started; // the launcher does not need its number any more
  bool ended;
  bool ending; // of everything
};

// What the launcher says: this, or a signal.
#define STARTED 0

int keeper_proc(void) {
  static const char *const options[] = {"subset=pid", NULL}; // Linux 5.8
  CLEANUP_FD int mount = mounts_new("proc", options, PLAN_OPF_NOSUID | PLAN_OPF_NODEV | PLAN_OPF_NOEXEC);
  // Who may not mount one has the host's.
  int proc = mount >= 0 ? openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                        : open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0)
    die_errno("cannot share the host's processes: /proc");
  return proc;
}

static void use_null(void) {
  CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd <= 2; fd++)
    if (null < 0 || dup2(null, fd) < 0)
      die_errno("cannot keep the container: /dev/null");
}

// True when there is no child left, and so nothing that descends from it.
static bool reap(struct keeper *keeper) {
  while (keeper->started || keeper->launcher < 0) {
    int status;
    pid_t pid = (pid_t)RETRY(waitpid(-1, &status, WNOHANG));
    if (pid <= 0)
      return pid < 0;
    if (pid != keeper->process || keeper->ended)
      continue;
    keeper->ended = true;
    keeper->status = status;
  }
  return false;
}

// To the process or its group, whose number is theirs as long as it has not been waited for.
static void pass_on(const struct keeper *keeper, int sig) {
  if (!keeper->ended && kill(-keeper->process, sig) != 0)
    kill(keeper->process, sig);
}

static void take_words(struct keeper *keeper) {
  int said;
  ssize_t size;
  while ((size = recv(keeper->told, &said, sizeof said, MSG_DONTWAIT)) == sizeof said) {
    if (said == STARTED)
      keeper->started = true;
    else
      pass_on(keeper, said);
  }
  if (size >= 0) { // the launcher has nothing more to say, and does not listen
    close_fd(&keeper->told);
    keeper->told = -1;
  }
}

static void tell(struct keeper *keeper) {
  if (keeper->told < 0)
    return;
  (void)RETRY(send(keeper->told, &keeper->status, sizeof keeper->status, MSG_NOSIGNAL));
  close_fd(&keeper->told);
  keeper->told = -1;
}

static void wait_for_change(struct keeper *keeper) {
  struct signalfd_siginfo info;
  struct pollfd polled[] = {{.fd = keeper->children, .events = POLLIN},
                            {.fd = keeper->launcher, .events = POLLIN},
                            {.fd = keeper->until, .events = POLLIN},
                            {.fd = keeper->launcher < 0 ? -1 : keeper->told, .events = POLLIN}};
  if (poll(polled, 4, keeper->ending ? KILL_INTERVAL : -1) < 0)
    return;
  while (read(keeper->children, &info, sizeof info) == sizeof info)
    continue;
  if (polled[3].revents != 0)
    take_words(keeper);
  if (polled[2].revents != 0)
    keeper->ending = true;
  if (polled[1].revents == 0)
    return;
  close_fd(&keeper->launcher);
  keeper->launcher = -1;
  // A container ends with its launcher; of a command that joined one, the command itself does.
  if (keeper->until < 0)
    keeper->ending = true;
  else if (!keeper->ended)
    kill(keeper->process, SIGKILL);
}

_Noreturn static void keep(struct keeper *keeper) {
  for (;;) {
    bool none = reap(keeper);
    if (keeper->ended && keeper->until < 0)
      keeper->ending = true;
    if (none || (keeper->ended && keeper->until >= 0))
      tell(keeper);
    if (none)
      _exit(0);
    if (keeper->ending)
      processes_signal_own(keeper->proc, SIGKILL);
    wait_for_change(keeper);
  }
}

_Noreturn static void run(const struct keeping *keeping, int told, int launcher, int proc) {
  struct keeper keeper = {.told = told, .launcher = launcher, .until = keeping->until, .proc = proc};
  sigset_t all;
  int pidfd = -1;
  die_set_cleanup(NULL); // these are the launcher's
  die_set_hook(NULL);
  prctl(PR_SET_NAME, "trees-keeper", 0, 0, 0);
  sigfillset(&all);
  // An own session: the terminal's signals are not for it.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1ul, 0, 0, 0) != 0 || setsid() < 0)
    die_errno("cannot keep the container");
  keeper.process = keeping->create(keeping->context, &pidfd);
  struct created created = {.pid = keeper.process, .error = errno};
  (void)RETRY(send(told, &created, sizeof created, MSG_NOSIGNAL));
  if (created.pid < 0)
    _exit(STATUS_FAILED);
  handover_give(told, &pidfd, 1);
  // Whoever reads what others wrote is not to wait for this one.
  const int kept[] = {told, launcher, proc, keeping->until};
  use_null();
  close_all_but(kept, sizeof kept / sizeof *kept);
  if (sigprocmask(SIG_SETMASK, &all, NULL) == 0)
    keeper.children = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
  if (chdir("/") != 0 || keeper.children < 0)
    keeper.ending = true;
  keep(&keeper);
}

struct container keeper_start(const struct keeping *keeping) {
  int ends[2];
  struct container container = {.pid = -1, .pidfd = -1, .notify = -1, .told = -1, .tree = {.pidfd = -1}};
  CLEANUP_FD int launcher = sys_pidfd_open(getpid());
  CLEANUP_FD int proc = keeper_proc();
  if (launcher < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    die_errno("cannot start");
  container.keeper_stays = keeping->until >= 0;
  container.keeper = fork();
  if (container.keeper < 0)
    die_errno("cannot start: fork");
  if (container.keeper == 0) {
    close(ends[0]);
    run(keeping, ends[1], launcher, proc);
  }
  close(ends[1]);
  container.told = ends[0];
  struct created created;
  bool known = RETRY(recv(container.told, &created, sizeof created, 0)) == sizeof created;
  if (known && created.pid > 0 && handover_take(container.told, &container.pidfd, 1)) {
    container.pid = created.pid;
    return container;
  }
  close(container.told);
  (void)RETRY(waitpid(container.keeper, NULL, 0));
  container.pid = known ? -1 : 0;
  errno = known ? created.error : 0;
  return container;
}

static void say(const struct container *container, int said) {
  (void)RETRY(send(container->told, &said, sizeof said, MSG_NOSIGNAL));
}

void keeper_started(const struct container *container) {
  say(container, STARTED);
}

void keeper_signal_group(const struct container *container, int sig) {
  say(container, sig);
}

// The init ends what is its own then, if it is one.
static void outlive_keeper(const struct container *container) {
  struct pollfd polled = {.fd = container->pidfd, .events = POLLIN};
  if (RETRY(poll(&polled, 1, INIT_PATIENCE)) == 0)
    sys_pidfd_send_signal(container->pidfd, SIGKILL);
  (void)RETRY(poll(&polled, 1, -1));
}

int keeper_wait(struct container *container) {
  int status;
  keeper_started(container);
  bool known = RETRY(recv(container->told, &status, sizeof status, 0)) == sizeof status;
  close(container->told);
  container->told = -1;
  if (!known)
    outlive_keeper(container);
  (void)RETRY(waitpid(container->keeper, NULL, known && container->keeper_stays ? WNOHANG : 0));
  return known ? status : SIGKILL; // as the wait status of a process that was killed
}
