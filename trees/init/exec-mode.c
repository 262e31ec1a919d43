#include "exec-mode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../launcher/util.h"
#include "command.h"

extern char **environ;

const char *exec_mode(void) {
  return getenv("TREES_EXEC");
}

// Variables behind the mark are the command's own.
static char **own_variables(size_t *count) {
  char **at = environ;
  while (*at != NULL && strncmp(*at, "TREES_EXEC=", 11) != 0)
    at++;
  at += *at != NULL;
  *count = 0;
  while (at[*count] != NULL)
    (*count)++;
  return at;
}

// The launcher, which the command dies with.
static int caller(void) {
  const char *text = getenv("TREES_EXEC_CALLER");
  int fd = text == NULL ? 0 : atoi(text);
  if (fd < 3 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    die("trees-init is started by trees-launch: its caller was not passed on");
  return fd;
}

static int failure; // where the detached command's parent hears of it

static void report_failure(const char *message) {
  (void)message;
  char status = STATUS_FAILED;
  (void)!write(failure, &status, 1);
}

// As a child of PID 1, which it is handed to when this process ends. This one waits until the command was
// executed.
static void detach(struct command *command) {
  int channel[2];
  if (pipe2(channel, O_CLOEXEC) != 0)
    die_errno("cannot detach the command");
  pid_t child = fork();
  if (child < 0)
    die_errno("cannot detach the command: fork");
  if (child > 0) {
    char status = 0;
    close(channel[1]);
    if (RETRY(read(channel[0], &status, 1)) == 1)
      (void)RETRY(waitpid(child, NULL, 0));
    _exit((unsigned char)status);
  }
  close(channel[0]);
  failure = channel[1];
  die_set_hook(report_failure);
  command->session = true;
  command->tied = 0;
  command->failure = failure;
  command->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
}

void exec_mode_execute(const struct plan *plan, char **words) {
  struct command command = {.words = words,
                            .user_text = getenv("TREES_EXEC_USER"),
                            .workdir_text = getenv("TREES_EXEC_WORKDIR"),
                            .privileged = getenv("TREES_EXEC_PRIVILEGED") != NULL,
                            .terminal = getenv("TREES_TERMINAL") != NULL,
                            .tied = caller()};
  command.extra = own_variables(&command.extra_count);
  if (strcmp(exec_mode(), "detached") == 0)
    detach(&command);
  command_execute(plan, &command);
}
