#include "hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "syscalls.h"
#include "util.h"

#define STATE_SIZE 16384

static bool begun;

// JSON text of a string; what does not fit is left out.
static size_t quote(char *out, size_t room, const char *text) {
  size_t used = 0;
  for (; *text != '\0' && used + 7 < room; text++) {
    unsigned char byte = (unsigned char)*text;
    if (byte == '"' || byte == '\\')
      out[used++] = '\\';
    if (byte >= 0x20)
      out[used++] = *text;
    else
      used += (size_t)snprintf(out + used, room - used, "\\u%04x", byte);
  }
  out[used] = '\0';
  return used;
}

static int state_file(const struct plan *plan, pid_t pid) {
  static const struct plan_supervision nobody;
  const struct plan_supervision *supervision = plan->supervision != NULL ? plan->supervision : &nobody;
  char name[1024];
  char app[1024];
  char directory[8192];
  char text[STATE_SIZE];
  quote(name, sizeof name, plan_string(plan, supervision->name));
  quote(app, sizeof app, plan_string(plan, supervision->app));
  quote(directory, sizeof directory, plan_string(plan, supervision->run_dir));
  int size =
      snprintf(text, sizeof text,
               "{\"ociVersion\":\"1.0.2\",\"id\":\"%s\",\"status\":\"%s\",\"pid\":%d,\"bundle\":\"%s\","
               "\"annotations\":{\"trees.app\":\"%s\",\"trees.generation\":\"%llu\"}}\n",
               name, pid != 0 ? "created" : "stopped", (int)pid, directory, app,
               (unsigned long long)supervision->generation);
  int fd = sys_memfd_create("trees-state", MFD_CLOEXEC);
  if (fd < 0 || write_all(fd, text, (size_t)size) != 0 || lseek(fd, 0, SEEK_SET) != 0)
    die_errno("cannot write the state for a hook");
  return fd;
}

static char **words_of(const struct plan *plan, struct plan_words list) {
  char **words = calloc(list.count + 1, sizeof *words);
  if (words == NULL)
    die_errno("cannot run a hook");
  for (uint32_t i = 0; i < list.count; i++)
    words[i] = (char *)(uintptr_t)plan_word(plan, list, i);
  return words;
}

_Noreturn static void become(const struct plan *plan, const struct plan_hook *hook, int state) {
  static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  sigset_t none;
  die_set_cleanup(NULL);
  die_set_hook(NULL);
  for (int sig = 1; sig <= SIGRTMAX; sig++)
    signal(sig, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setpgid(0, 0);
  // What it says is for whoever watches the start, and never mixes with the container's output.
  if (dup2(state, STDIN_FILENO) != STDIN_FILENO || dup2(STDERR_FILENO, STDOUT_FILENO) != STDOUT_FILENO)
    die_errno("cannot run a hook");
  char **words = words_of(plan, hook->command);
  execve(words[0], words, (char *[]){path, NULL});
  die_errno("cannot execute the hook %s", words[0]);
}

// Waits for a child; kills its group when it takes longer. Returns its wait status, -1 then.
static int wait_for(pid_t child, uint32_t timeout) {
  CLEANUP_FD int pidfd = sys_pidfd_open(child);
  struct pollfd polled = {.fd = pidfd, .events = POLLIN};
  bool late = pidfd >= 0 && timeout > 0 && RETRY(poll(&polled, 1, (int)timeout)) == 0;
  int status = 0;
  if (late)
    kill(-child, SIGKILL);
  if (RETRY(waitpid(child, &status, 0)) < 0)
    die_errno("cannot wait for a hook");
  return late ? -1 : status;
}

static const char *run(const struct plan *plan, const struct plan_hook *hook, pid_t pid) {
  static char problem[512];
  CLEANUP_FD int state = state_file(plan, pid);
  const char *name = plan_word(plan, hook->command, 0);
  pid_t child = fork();
  if (child < 0)
    die_errno("cannot run the hook %s", name);
  if (child == 0)
    become(plan, hook, state);
  int status = wait_for(child, hook->timeout);
  if (status == 0)
    return NULL;
  if (status == -1)
    snprintf(problem, sizeof problem, "the hook %s did not end within %u ms", name, hook->timeout);
  else if (WIFSIGNALED(status))
    snprintf(problem, sizeof problem, "the hook %s was ended by signal %d", name, WTERMSIG(status));
  else
    snprintf(problem, sizeof problem, "the hook %s exited with status %d", name, WEXITSTATUS(status));
  return problem;
}

const char *hooks_run(const struct plan *plan, enum plan_hook_phase phase, pid_t pid) {
  bool after = phase == PLAN_HOOK_POSTSTOP;
  if (after && !begun)
    return NULL;
  begun = !after;
  const char *failed = NULL;
  for (size_t i = 0; i < plan->hook_count && (failed == NULL || after); i++) {
    if (plan->hooks[i].phase != (uint32_t)phase)
      continue;
    const char *problem = run(plan, &plan->hooks[i], pid);
    failed = problem != NULL ? problem : failed;
  }
  return failed;
}

char **hooks_command(const struct plan *plan, enum plan_hook_phase phase) {
  for (size_t i = 0; i < plan->hook_count; i++)
    if (plan->hooks[i].phase == (uint32_t)phase)
      return words_of(plan, plan->hooks[i].command);
  return NULL;
}
