// Runs shell commands with their outputs on the launcher's logger: logs-driver [--console] PLAN NAME=COMMAND…
// A command whose name comes twice starts when the first has ended.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "../../trees/launcher/logs.h"
#include "../../trees/launcher/util.h"

static pid_t start(struct logs *logs, char *assignment) {
  int out[2];
  int err[2];
  char *command = strchr(assignment, '=');
  if (command == NULL || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
    die("wrong usage: %s", assignment);
  *command++ = '\0';
  pid_t child = fork();
  if (child == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(STATUS_NOT_FOUND);
  }
  close(out[1]);
  close(err[1]);
  logs_add(logs, assignment, out[0], err[0]);
  return child;
}

int main(int argc, char **argv) {
  bool console = argc > 1 && strcmp(argv[1], "--console") == 0;
  int at = console ? 2 : 1;
  struct plan plan;
  int fd = at < argc ? open(argv[at], O_RDONLY | O_CLOEXEC) : -1;
  const char *problem = fd < 0 ? "cannot be opened" : plan_map(fd, &plan);
  if (problem != NULL)
    die("plan: %s", problem);
  struct log_setup setup = {.plan = &plan, .console = console};
  struct logs *logs = logs_open(&setup);
  int left = 0;
  for (at++; at < argc; at++, left++)
    start(logs, argv[at]);
  while (left > 0) {
    struct pollfd polled = {.fd = logs_descriptor(logs), .events = POLLIN};
    poll(&polled, 1, 100);
    logs_act(logs);
    while (left > 0 && waitpid(-1, NULL, WNOHANG) > 0)
      left--;
  }
  bool gone = logs_reader_gone(logs);
  logs_finish(logs, -1);
  return gone ? 141 : 0;
}
