#include "scope.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../launcher/processes.h"
#include "../launcher/util.h"

#define ABANDONED SIGPWR

static int host_proc = -1; // the pid namespace is the host's
static pid_t parent;

void scope_begin(int proc) {
  host_proc = proc;
  if (proc < 0)
    return;
  parent = getppid();
  // Until here it was KILL, with nothing to be ended but this process.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1ul, 0, 0, 0) != 0 ||
      prctl(PR_SET_PDEATHSIG, (unsigned long)ABANDONED, 0, 0, 0) != 0)
    die_errno("cannot look after the container in the host's pid namespace");
  if (getppid() != parent)
    _exit(STATUS_FAILED);
}

int scope_descriptor(void) {
  return host_proc;
}

int scope_open_proc(void) {
  return host_proc >= 0 ? fcntl(host_proc, F_DUPFD_CLOEXEC, 3)
                        : open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool scope_has(int proc, pid_t pid) {
  return host_proc < 0 || process_descends(proc, pid, getpid());
}

void scope_signal_one(int proc, pid_t pid, int sig) {
  if (host_proc >= 0)
    process_signal_own(proc, pid, sig);
  else
    kill(pid, sig);
}

// The only place that signals everything there is: of any process but 1 that would be the whole machine.
static void signal_namespace(int sig) {
  if (getpid() != 1)
    die("refused: to signal a whole pid namespace without being its process 1");
  kill(-1, sig);
}

void scope_signal(int sig) {
  if (host_proc >= 0)
    processes_signal_own(host_proc, sig);
  else
    signal_namespace(sig);
}

bool scope_abandoned(int sig) {
  return host_proc >= 0 && sig == ABANDONED && getppid() != parent;
}
