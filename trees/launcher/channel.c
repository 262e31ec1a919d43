#include "channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "util.h"

bool channel_open(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0;
}

static void close_all(struct channel_packet *packet) {
  for (size_t i = 0; i < packet->fd_count; i++)
    close(packet->fds[i]);
  packet->fd_count = 0;
}

// Descriptors beyond those that there is room for were closed by the kernel.
static void take_descriptors(struct msghdr *message, struct channel_packet *packet) {
  packet->fd_count = 0;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
      continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      if (packet->fd_count < CHANNEL_FDS)
        packet->fds[packet->fd_count++] = fd;
      else
        close(fd);
    }
  }
}

enum channel_result channel_receive(int fd, struct channel_packet *packet) {
  for (;;) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * CHANNEL_FDS)];
    struct iovec bytes = {.iov_base = packet->line, .iov_len = CHANNEL_PACKET};
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t size = RETRY(recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
    if (size < 0 && errno == EAGAIN)
      return CHANNEL_NOTHING;
    if (size <= 0)
      return CHANNEL_CLOSED;
    take_descriptors(&message, packet);
    bool whole = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    if (whole && request_parse(packet->line, (size_t)size, &packet->request) == NULL)
      return CHANNEL_RECEIVED;
    close_all(packet);
  }
}

bool channel_send(int fd, const char *line, size_t size, const int *fds, size_t fd_count) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * CHANNEL_FDS)] = {0};
  struct iovec bytes = {.iov_base = (char *)(uintptr_t)line, .iov_len = size};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
  if (fd_count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    struct cmsghdr *part = (struct cmsghdr *)control;
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    memcpy(CMSG_DATA(part), fds, sizeof(int) * fd_count);
  }
  return RETRY(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)) == (long)size;
}
