#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../launcher/util.h"

static int close_failed(int fd) {
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static int finish(int fd, bool stream, const struct plan_service_link *link) {
  return stream && listen(fd, (int)link->a) != 0 ? close_failed(fd) : fd;
}

static int open_unix(const struct plan *plan, const struct plan_service_link *link, unsigned owner,
                     unsigned group) {
  bool stream = link->target == PLAN_LISTEN_UNIX;
  const char *path = plan_string(plan, link->text);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct stat status;
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  // What an earlier start has left behind; anything else is not ours to remove.
  if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
    unlink(path);
  int fd = socket(AF_UNIX, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  mode_t before = umask(0177); // nobody connects before mode and owner are right
  int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
  umask(before);
  if (bound != 0 || ((owner != 0 || group != 0) && lchown(path, owner, group) != 0) ||
      chmod(path, link->number) != 0)
    return close_failed(fd);
  return finish(fd, stream, link);
}

static int open_inet(const struct plan_service_link *link, const struct sockaddr *address, socklen_t size) {
  bool stream = link->target == PLAN_LISTEN_TCP;
  int on = 1;
  int off = 0;
  int fd = socket(address->sa_family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  if ((stream && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) ||
      (address->sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
      bind(fd, address, size) != 0)
    return close_failed(fd);
  return finish(fd, stream, link);
}

int listen_open(const struct plan *plan, const struct plan_service_link *link, unsigned owner,
                unsigned group) {
  if (link->target == PLAN_LISTEN_UNIX || link->target == PLAN_LISTEN_UNIX_DATAGRAM)
    return open_unix(plan, link, owner, group);
  const char *text = plan_string(plan, link->text);
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)link->number)};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)link->number)};
  if (strcmp(text, "*") == 0) {
    // Both families in one socket where there is IPv6.
    int fd = open_inet(link, (struct sockaddr *)&six, sizeof six);
    return fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
               ? fd
               : open_inet(link, (struct sockaddr *)&four, sizeof four);
  }
  if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
    return open_inet(link, (struct sockaddr *)&four, sizeof four);
  if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1)
    return open_inet(link, (struct sockaddr *)&six, sizeof six);
  errno = EINVAL;
  return -1;
}
