#include "standalone.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

standalone_main *standalone_find(const char *name) {
  const char *slash = strrchr(name, '/');
  const char *base = slash == NULL ? name : slash + 1;
  if (strcmp(base, "tini") == 0 || strcmp(base, "tini-static") == 0 || strcmp(base, "docker-init") == 0)
    return tini_main;
  return strcmp(base, "dumb-init") == 0 ? dumb_init_main : NULL;
}

void standalone_block(sigset_t *set) {
  static const int faults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};
  sigfillset(set);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    sigdelset(set, faults[i]);
  // A signal that is ignored is not kept either: SIGCHLD above all.
  for (int sig = 1; sig <= SIGRTMAX; sig++)
    if (sigismember(set, sig) == 1)
      signal(sig, SIG_DFL);
  sigprocmask(SIG_SETMASK, set, NULL);
}

void standalone_restore(const sigset_t *set) {
  sigset_t none;
  for (int sig = 1; sig <= SIGRTMAX; sig++)
    if (sigismember(set, sig) == 1)
      signal(sig, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

int standalone_next_signal(const sigset_t *set) {
  siginfo_t info;
  int sig;
  do
    sig = sigwaitinfo(set, &info);
  while (sig < 0 && errno == EINTR); // continued after a stop
  return sig;
}

int standalone_parse_signal(const char *text) {
  static const struct {
    const char *name;
    int number;
  } names[] = {{"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT}, {"ILL", SIGILL},
               {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},     {"BUS", SIGBUS},   {"FPE", SIGFPE},
               {"KILL", SIGKILL}, {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
               {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM}, {"STKFLT", SIGSTKFLT},
               {"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
               {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU},
               {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
               {"IO", SIGIO},     {"PWR", SIGPWR},       {"SYS", SIGSYS}};
  const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i].name, name) == 0)
      return names[i].number;
  return 0;
}

int standalone_status(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
