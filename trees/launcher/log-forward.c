#include "log-forward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util.h"

#define FACILITY_DAEMON 3
#define SEVERITY_ERROR 3
#define SEVERITY_INFO 6
// What every syslog daemon takes in one datagram.
#define SYSLOG_MESSAGE 8000

static int connect_to(const char *path, const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  warning_errno("the log is not forwarded to %s: %s", name, path);
  close_fd(&fd);
  return -1;
}

void log_forward_open(struct log_forward *forward, uint32_t flags, const char *instance) {
  *forward = (struct log_forward){.journal = -1, .syslog = -1, .instance = instance};
  if ((flags & PLAN_LOG_JOURNALD) != 0)
    forward->journal = connect_to("/run/systemd/journal/socket", "journald");
  if ((flags & PLAN_LOG_SYSLOG) != 0)
    forward->syslog = connect_to("/dev/log", "syslog");
}

// Native protocol of journald: NAME=VALUE lines; a value with a newline would need its length, and a line has
// none.
static void to_journal(const struct log_forward *forward, const struct log_line *line) {
  char fields[512];
  int used = snprintf(
      fields, sizeof fields,
      "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nCONTAINER_NAME=%s\nTREES_INSTANCE=%s\nTREES_SERVICE=%s\n%sMESSAGE=",
      line->channel == LOG_ERR ? SEVERITY_ERROR : SEVERITY_INFO, line->service, forward->instance,
      forward->instance, line->service, line->partial ? "CONTAINER_PARTIAL_MESSAGE=true\n" : "");
  struct iovec parts[] = {{.iov_base = fields, .iov_len = (size_t)used},
                          {.iov_base = (void *)(uintptr_t)line->bytes, .iov_len = line->size},
                          {.iov_base = (char[]){'\n'}, .iov_len = 1}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
  (void)RETRY(sendmsg(forward->journal, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static void to_syslog(const struct log_forward *forward, const struct log_line *line) {
  char header[256];
  char date[32];
  struct tm parts;
  int severity = line->channel == LOG_ERR ? SEVERITY_ERROR : SEVERITY_INFO;
  if (localtime_r(&line->time.tv_sec, &parts) == NULL ||
      strftime(date, sizeof date, "%b %e %H:%M:%S", &parts) == 0)
    return;
  int used = snprintf(header, sizeof header, "<%d>%s %s/%s: ", FACILITY_DAEMON * 8 + severity, date,
                      forward->instance, line->service);
  struct iovec vectors[] = {{.iov_base = header, .iov_len = (size_t)used},
                            {.iov_base = (void *)(uintptr_t)line->bytes,
                             .iov_len = line->size < SYSLOG_MESSAGE ? line->size : SYSLOG_MESSAGE}};
  struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 2};
  (void)RETRY(sendmsg(forward->syslog, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

bool log_forward_wanted(const struct log_forward *forward) {
  return forward->journal >= 0 || forward->syslog >= 0;
}

void log_forward_line(struct log_forward *forward, const struct log_line *line) {
  if (forward->journal >= 0)
    to_journal(forward, line);
  if (forward->syslog >= 0)
    to_syslog(forward, line);
}

void log_forward_close(struct log_forward *forward) {
  close_fd(&forward->journal);
  close_fd(&forward->syslog);
}
