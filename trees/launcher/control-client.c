#include "control-client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util.h"

int control_connect(int dir) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control", dir);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && RETRY(connect(fd, (struct sockaddr *)&address, sizeof address)) == 0)
    return fd;
  int error = errno;
  close_fd(&fd);
  errno = error;
  return -1;
}

long control_ask(int dir, const char *request, char *answer, size_t room) {
  size_t used = 0;
  CLEANUP_FD int fd = control_connect(dir);
  if (fd < 0 || RETRY(send(fd, request, strlen(request), MSG_NOSIGNAL)) < 0)
    return -1;
  ssize_t count;
  while (used < room - 1 && (count = RETRY(read(fd, answer + used, room - 1 - used))) > 0)
    used += (size_t)count;
  answer[used] = '\0';
  return (long)used;
}
