#include "supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "../launcher/clock.h"
#include "../launcher/util.h"
#include "scope.h"

#define KILL_INTERVAL 100 // milliseconds between KILLs while something still forks

enum reaped { REAPED_SOME_LEFT, REAPED_NONE_LEFT };

struct state {
  pid_t command;
  int status; // of the command once it has ended
  bool ended;
  bool stopping; // the rest has been asked to end
  bool abandoned;
  int64_t deadline;
};

// Signals coalesce: one SIGCHLD may stand for many children.
static enum reaped reap(struct state *state) {
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == 0)
      return REAPED_SOME_LEFT;
    if (pid < 0 && errno == EINTR)
      continue;
    // Every process here descends from the init or will be handed to it: no child means no process.
    if (pid < 0)
      return REAPED_NONE_LEFT;
    if (pid != state->command)
      continue; // an orphan; or the command's pid used again, which `ended` excludes below
    state->command = -1;
    state->ended = true;
    state->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
}

// What a terminal sends goes to the command's whole group, as a terminal would; the rest to the command
// alone.
static bool for_group(int sig) {
  return sig == SIGINT || sig == SIGQUIT || sig == SIGTSTP || sig == SIGCONT || sig == SIGWINCH;
}

void supervise_forward(pid_t command, int sig) {
  if (command <= 0)
    return; // it is not running: 0 would be the init's own group
  if (!for_group(sig) || kill(-command, sig) != 0)
    kill(command, sig);
}

static void stop_rest(struct state *state, uint32_t grace) {
  state->stopping = true;
  state->deadline = clock_ms() + grace;
  scope_signal(SIGTERM);
  scope_signal(SIGCONT); // a stopped process cannot act on TERM
}

static void handle(struct state *state, int signals) {
  struct signalfd_siginfo info;
  while (RETRY(read(signals, &info, sizeof info)) == sizeof info) {
    int sig = (int)info.ssi_signo;
    if (sig == SIGCHLD)
      continue; // reaped at the top of the loop
    if (scope_abandoned(sig)) {
      state->abandoned = true;
      state->deadline = clock_ms();
    } else if (!state->ended)
      supervise_forward(state->command, sig);
    else if (sig == SIGTERM || sig == SIGINT || sig == SIGQUIT)
      state->deadline = clock_ms(); // asked again: no more patience
  }
}

static int wait_for_end(struct state *state, int signals, uint32_t grace) {
  struct pollfd polled = {.fd = signals, .events = POLLIN};
  for (;;) {
    if (reap(state) == REAPED_NONE_LEFT)
      return state->status;
    if ((state->ended || state->abandoned) && !state->stopping)
      stop_rest(state, state->abandoned ? 0 : grace);
    int timeout = -1;
    if (state->stopping) {
      int64_t left = state->deadline - clock_ms();
      if (left <= 0) {
        scope_signal(SIGKILL);
        left = KILL_INTERVAL;
      }
      timeout = left > INT32_MAX ? INT32_MAX : (int)left;
    }
    poll(&polled, 1, timeout);
    handle(state, signals);
  }
}

int supervise(pid_t command, int signals, uint32_t grace) {
  struct state state = {.command = command};
  return wait_for_end(&state, signals, grace);
}

int supervise_rest(int signals, uint32_t grace, int status) {
  struct state state = {.command = -1, .ended = true, .status = status};
  return wait_for_end(&state, signals, grace);
}
