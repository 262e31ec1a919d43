#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../launcher/util.h"

static int connect_to(const struct sockaddr *address, socklen_t size) {
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || RETRY(connect(fd, address, size)) != 0)
    _exit(1);
  return fd;
}

static int connect_inet(const char *text, uint16_t port) {
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
    return connect_to((struct sockaddr *)&four, sizeof four);
  if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1)
    return connect_to((struct sockaddr *)&six, sizeof six);
  _exit(1);
}

static int connect_unix(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    _exit(1);
  strcpy(address.sun_path, path);
  return connect_to((struct sockaddr *)&address, sizeof address);
}

// The status of `HTTP/1.1 200 OK`, or 0.
static uint32_t status_of(const char *line) {
  unsigned status;
  return sscanf(line, "HTTP/%*1[0-9].%*1[0-9] %3u", &status) == 1 ? status : 0;
}

static uint32_t ask(int fd, const char *host, const char *path) {
  char text[8192];
  int length = snprintf(
      text, sizeof text,
      "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: trees-init\r\nAccept: */*\r\nConnection: close\r\n\r\n",
      path, host);
  if (length < 0 || (size_t)length >= sizeof text || write_all(fd, text, (size_t)length) != 0)
    return 0;
  size_t used = 0;
  while (used < 64 && memchr(text, '\n', used) == NULL) {
    ssize_t count = RETRY(read(fd, text + used, 64 - used));
    if (count <= 0)
      break;
    used += (size_t)count;
  }
  text[used] = '\0';
  return status_of(text);
}

void probe_run(const struct plan *plan, const struct plan_health *health) {
  const char *address = plan_string(plan, health->address);
  if (health->kind == PLAN_CHECK_UNIX) {
    connect_unix(address);
    _exit(0);
  }
  int fd = connect_inet(address, (uint16_t)health->port);
  if (health->kind == PLAN_CHECK_TCP)
    _exit(0);
  uint32_t status = ask(fd, plan_string(plan, health->host), plan_string(plan, health->path));
  _exit(status >= health->status_min && status <= health->status_max ? 0 : 1);
}
