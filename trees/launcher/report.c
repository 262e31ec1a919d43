#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util.h"

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == sizeof(((struct report *)0)->notify),
               "room for an address");

void report_open(struct report *report, const struct options *options) {
  *report = (struct report){.pid_file = options->pid_file, .status_fd = options->status_fd};
  const char *address = getenv("NOTIFY_SOCKET");
  if (address != NULL && options->notify != NOTIFY_IGNORE && (address[0] == '/' || address[0] == '@') &&
      strlen(address) < sizeof report->notify)
    strcpy(report->notify, address);
}

// Readers see a whole number or no file.
static void write_pid_file(const char *path, pid_t init) {
  char temporary[4096];
  char text[16];
  if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary)
    die("cannot write the id of the container's process: %s is too long", path);
  int length = snprintf(text, sizeof text, "%d\n", init);
  CLEANUP_FD int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || write_all(fd, text, (size_t)length) != 0 || rename(temporary, path) != 0)
    die_errno("cannot write the id of the container's process: %s", path);
}

static void write_status(const struct report *report, const char *key, int value) {
  if (report->status_fd < 0)
    return;
  char line[64];
  int length = snprintf(line, sizeof line, "{\"%s\":%d}\n", key, value);
  // One write: whole lines, and nobody waits for a reader that has gone away.
  (void)!write(report->status_fd, line, (size_t)length);
}

void report_started(const struct report *report, pid_t init) {
  if (report->pid_file != NULL)
    write_pid_file(report->pid_file, init);
  write_status(report, "child-pid", init);
}

void report_ended(const struct report *report, int status) {
  if (report->pid_file != NULL)
    unlink(report->pid_file);
  write_status(report, "exit-code", status);
}

static void notify(const struct report *report, const char *text) {
  if (report->notify[0] == '\0')
    return;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(report->notify);
  memcpy(address.sun_path, report->notify, length);
  if (address.sun_path[0] == '@')
    address.sun_path[0] = '\0';
  CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  if (fd < 0 ||
      sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address, size) < 0)
    warning_errno("cannot tell the service manager (%s)", report->notify);
}

void report_ready(const struct report *report) {
  char text[64];
  snprintf(text, sizeof text, "READY=1\nMAINPID=%d\n", getpid());
  notify(report, text);
}

void report_stopping(const struct report *report) {
  notify(report, "STOPPING=1\n");
}
