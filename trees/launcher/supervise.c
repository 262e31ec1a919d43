#include "supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

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

static void forward(const struct container *container, int signals) {
  struct signalfd_siginfo info;
  if (RETRY(read(signals, &info, sizeof info)) != sizeof info)
    return;
  int sig = (int)info.ssi_signo;
  sys_pidfd_send_signal(container->pidfd, sig);
  // Stop with the command, as the shell's job that both are.
  if (sig == SIGTSTP)
    kill(getpid(), SIGSTOP);
}

int supervise(const struct container *container, int signals) {
  struct pollfd polled[] = {{.fd = container->pidfd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
  for (;;) {
    if (RETRY(poll(polled, 2, -1)) < 0)
      die_errno("cannot wait for the container");
    if ((polled[1].revents & POLLIN) != 0)
      forward(container, signals);
    if ((polled[0].revents & POLLIN) == 0)
      continue;
    int status;
    if (RETRY(waitpid(container->pid, &status, 0)) < 0)
      die_errno("cannot read the container's exit status");
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
}
