#include "supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "relay.h"
#include "syscalls.h"
#include "util.h"

// Faults are the launcher's own; the rest cannot be caught or says nothing to the container.
static bool forwarded(int sig) {
  switch (sig) {
  case SIGSEGV:
  case SIGBUS:
  case SIGFPE:
  case SIGILL:
  case SIGABRT:
  case SIGTRAP:
  case SIGSYS:
  case SIGKILL:
  case SIGSTOP:
  case SIGCHLD:
  case SIGPIPE:
  case SIGTTIN:
  case SIGTTOU:
    return false;
  default:
    return true;
  }
}

int supervise_block_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  for (int sig = 1; sig <= SIGRTMAX; sig++) {
    struct sigaction action;
    if (!forwarded(sig) || sigaction(sig, NULL, &action) != 0 || action.sa_handler == SIG_IGN)
      continue;
    sigaddset(&set, sig);
  }
  // An inherited SIG_IGN would reap the container behind our back and lose its status.
  if (signal(SIGCHLD, SIG_DFL) == SIG_ERR || sigprocmask(SIG_SETMASK, &set, NULL) != 0)
    die_errno("cannot block signals");
  int fd = signalfd(-1, &set, SFD_CLOEXEC);
  if (fd < 0)
    die_errno("cannot receive signals");
  return fd;
}

// Stops with the command, as the shell's job that both are.
static void suspend(struct relay *relay) {
  relay_suspend(relay);
  kill(getpid(), SIGSTOP);
  relay_resume(relay);
}

static void handle(const struct container *container, int signals, struct relay *relay) {
  struct signalfd_siginfo info;
  if (RETRY(read(signals, &info, sizeof info)) != sizeof info)
    return;
  int sig = (int)info.ssi_signo;
  if (sig == SIGWINCH && relay->terminal->wanted) {
    relay_resize(relay); // the kernel tells the right process group
    return;
  }
  sys_pidfd_send_signal(container->pidfd, sig);
  if (sig == SIGTSTP)
    suspend(relay);
  if (sig == SIGCONT)
    relay_resume(relay);
}

static int exit_status(const struct container *container) {
  int status;
  if (RETRY(waitpid(container->pid, &status, 0)) < 0)
    die_errno("cannot read the container's exit status");
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int supervise(const struct container *container, int signals, const struct terminal *terminal) {
  struct relay relay = {0};
  struct pollfd polled[2 + RELAY_POLLED] = {{.fd = container->pidfd, .events = POLLIN},
                                            {.fd = signals, .events = POLLIN}};
  relay_start(&relay, terminal);
  for (;;) {
    relay_poll(&relay, polled + 2);
    if (RETRY(poll(polled, 2 + RELAY_POLLED, -1)) < 0)
      die_errno("cannot wait for the container");
    if ((polled[1].revents & POLLIN) != 0)
      handle(container, signals, &relay);
    relay_act(&relay, polled + 2);
    if ((polled[0].revents & POLLIN) == 0)
      continue;
    int status = exit_status(container);
    relay_finish(&relay);
    return status;
  }
}
