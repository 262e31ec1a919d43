#include "notify.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util.h"

#define FLOOD 100       // messages of a sender that are read…
#define FLOOD_TIME 1000 // …in so many milliseconds; more have to wait

#define MAX_FDS 16

int notify_open(char name[NOTIFY_NAME]) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int on = 1;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  // Only the family: the kernel chooses an abstract name (unix(7), autobind).
  socklen_t size = sizeof address;
  if (bind(fd, (struct sockaddr *)&address, sizeof address.sun_family) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  size_t length = size - offsetof(struct sockaddr_un, sun_path) - 1;
  snprintf(name, NOTIFY_NAME, "@%.*s", (int)length, address.sun_path + 1);
  return fd;
}

static bool is_line(const char *line, size_t length, const char *wanted) {
  return length == strlen(wanted) && memcmp(line, wanted, length) == 0;
}

// What follows NAME= on a line that begins so.
static const char *value_of(const char *line, size_t length, const char *name, size_t *size) {
  size_t skipped = strlen(name);
  if (length < skipped || memcmp(line, name, skipped) != 0)
    return NULL;
  *size = length - skipped;
  return line + skipped;
}

static void take_status(const char *value, size_t size, struct notify_message *message) {
  size_t kept = size < sizeof message->status ? size : sizeof message->status - 1;
  memcpy(message->status, value, kept);
  message->status[kept] = '\0';
  message->has_status = true;
}

static pid_t parse_pid(const char *digits, size_t length) {
  int64_t value = 0;
  if (length == 0 || length > 10)
    return 0;
  for (size_t i = 0; i < length; i++) {
    if (digits[i] < '0' || digits[i] > '9')
      return 0;
    value = value * 10 + (digits[i] - '0');
  }
  return value <= INT32_MAX ? (pid_t)value : 0;
}

void notify_parse(const char *text, size_t size, struct notify_message *message) {
  for (size_t at = 0; at < size;) {
    const char *line = text + at;
    const char *end = memchr(line, '\n', size - at);
    size_t length = end == NULL ? size - at : (size_t)(end - line);
    const char *value;
    size_t rest;
    if (is_line(line, length, "READY=1"))
      message->ready = true;
    else if (is_line(line, length, "STOPPING=1"))
      message->stopping = true;
    else if ((value = value_of(line, length, "MAINPID=", &rest)) != NULL)
      message->main_pid = parse_pid(value, rest);
    else if ((value = value_of(line, length, "STATUS=", &rest)) != NULL)
      take_status(value, rest, message);
    at += length + 1;
  }
}

static void take_control(struct msghdr *header, struct notify_message *message) {
  for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET)
      continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      struct ucred sender;
      memcpy(&sender, CMSG_DATA(part), sizeof sender);
      message->sender = sender.pid;
    } else if (part->cmsg_type == SCM_RIGHTS) {
      size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
        close(fd);
      }
    }
  }
}

bool notify_receive(int fd, struct notify_message *message) {
  char text[NOTIFY_MESSAGE];
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * MAX_FDS)];
  struct iovec bytes = {.iov_base = text, .iov_len = sizeof text};
  struct msghdr header = {
      .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  *message = (struct notify_message){0};
  ssize_t size = RETRY(recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (size < 0)
    return false;
  take_control(&header, message);
  if ((header.msg_flags & MSG_TRUNC) == 0)
    notify_parse(text, (size_t)size, message);
  return true;
}

bool notify_floods(struct notify_rate *rate, int64_t now) {
  if (now - rate->counted_from >= FLOOD_TIME) {
    rate->counted_from = now;
    rate->messages = 0;
  }
  if (++rate->messages <= FLOOD)
    return false;
  rate->quiet_until = rate->counted_from + FLOOD_TIME;
  return true;
}
