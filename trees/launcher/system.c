#include "system.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "hooks.h"
#include "util.h"

bool system_is(const struct instance *instance) {
  return (instance->plan.config->flags & PLAN_SYSTEM) != 0;
}

int system_stop_signal(const struct instance *instance) {
  return instance->supervision->stop_signal != 0 ? (int)instance->supervision->stop_signal : SIGTERM;
}

_Noreturn static void execute(const char *run_dir, char **command) {
  size_t count = 0;
  sigset_t none;
  while (command[count] != NULL)
    count++;
  char **words = calloc(count + 5, sizeof *words);
  if (words == NULL)
    _exit(STATUS_FAILED);
  words[0] = (char[]){"trees-launch"};
  words[1] = (char[]){"--exec"};
  words[2] = (char *)(uintptr_t)run_dir;
  words[3] = (char[]){"--"};
  for (size_t i = 0; i < count; i++)
    words[4 + i] = command[i];
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve("/proc/self/exe", words, (char *[]){NULL});
  _exit(STATUS_FAILED);
}

bool system_stop(const struct instance *instance) {
  const char *run_dir = plan_string(&instance->plan, instance->supervision->run_dir);
  char **command = run_dir[0] == '\0' ? NULL : hooks_command(&instance->plan, PLAN_HOOK_STOP);
  if (command == NULL)
    return false;
  // Forked twice: it is not waited for, the container's end is.
  pid_t child = fork();
  if (child == 0) {
    if (fork() == 0)
      execute(run_dir, command);
    _exit(0);
  }
  if (child > 0)
    (void)RETRY(waitpid(child, NULL, 0));
  free(command);
  return child > 0;
}

int system_status(struct instance *instance, int wait_status) {
  if (!WIFSIGNALED(wait_status))
    return WEXITSTATUS(wait_status);
  int sig = WTERMSIG(wait_status);
  if (sig == SIGHUP && !instance->ended_by_user)
    instance->restart_asked = true;
  return sig == SIGINT || sig == SIGHUP ? 0 : 128 + sig;
}
