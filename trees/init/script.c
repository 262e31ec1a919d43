#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../launcher/channel.h"
#include "../launcher/clock.h"
#include "../launcher/syscalls.h"
#include "../launcher/util.h"
#include "command.h"
#include "scope.h"
#include "supervise.h"

static bool asks_to_end(int sig) {
  return sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP;
}

// True when somebody wants the end.
static bool pass_on(int signals, pid_t child) {
  struct signalfd_siginfo info;
  bool asked = false;
  while (RETRY(read(signals, &info, sizeof info)) == (long)sizeof info) {
    if (scope_abandoned((int)info.ssi_signo))
      _exit(supervise_rest(signals, 0, STATUS_FAILED));
    if (!asks_to_end((int)info.ssi_signo))
      continue;
    asked = true;
    kill(-child, (int)info.ssi_signo);
  }
  return asked;
}

// Its wait status, -1 if it took too long. Orphans it leaves are reaped on the way.
static int wait_for(pid_t child, uint32_t timeout, int signals, bool *asked) {
  int64_t deadline = clock_ms() + timeout;
  struct pollfd polled = {.fd = signals, .events = POLLIN};
  for (bool late = false;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == child)
      return late ? -1 : status;
    if (pid > 0)
      continue;
    int64_t left = timeout == 0 || late ? -1 : deadline - clock_ms();
    if (left == 0 || left < -1) {
      late = true;
      kill(-child, SIGKILL);
      continue;
    }
    poll(&polled, 1, (int)left);
    *asked |= pass_on(signals, child);
  }
}

_Noreturn static void fail(int channel, int status) {
  char line[32];
  int size = snprintf(line, sizeof line, "failed %d", status);
  if (channel >= 0)
    channel_send(channel, line, (size_t)size, NULL, 0);
  _exit(status);
}

static void run(const struct plan *plan, const struct plan_hook *hook, int signals, int channel) {
  struct command command = {.argv = hook->command, .user_text = "0", .workdir_text = "/"};
  const char *name = plan_word(plan, hook->command, 0);
  pid_t child = fork();
  if (child < 0)
    die_errno("cannot run %s: fork", name);
  if (child == 0) {
    setpgid(0, 0);
    command_execute(plan, &command);
  }
  setpgid(child, child); // whoever comes first
  bool asked = false;
  int status = wait_for(child, hook->timeout, signals, &asked);
  if (status == 0)
    return;
  if (status == -1)
    warning("%s did not end within %u ms", name, hook->timeout);
  else if (WIFSIGNALED(status))
    warning("%s, which prepares the container, was ended by signal %d", name, WTERMSIG(status));
  else
    warning("%s, which prepares the container, exited with status %d", name, WEXITSTATUS(status));
  fail(channel, asked && status != -1 && WIFSIGNALED(status) ? 128 + WTERMSIG(status) : STATUS_FAILED);
}

void scripts_run(const struct plan *plan, int signals, int channel) {
  for (size_t i = 0; i < plan->hook_count; i++)
    if (plan->hooks[i].phase == PLAN_HOOK_INIT)
      run(plan, &plan->hooks[i], signals, channel);
}
