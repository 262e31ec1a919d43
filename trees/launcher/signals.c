#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

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

int signals_block(void) {
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
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0)
    die_errno("cannot receive signals");
  return fd;
}

int signals_read(int fd) {
  struct signalfd_siginfo info;
  return RETRY(read(fd, &info, sizeof info)) == sizeof info ? (int)info.ssi_signo : 0;
}

bool signals_is_end(int sig) {
  return sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP;
}
