#include "handover.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "util.h"

#define AT_ONCE 128 // descriptors in a packet; the kernel takes up to 253

struct packet {
  uint32_t more; // another one follows
  uint32_t number;
  uint32_t slots[AT_ONCE]; // of the descriptors, in their order
};

union control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int[AT_ONCE]))];
};

bool handover_open(int *launcher, int *container) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return false;
  *launcher = ends[0];
  *container = ends[1];
  return true;
}

static void send_packet(int end, const struct packet *packet, const int *fds, size_t count) {
  union control control;
  struct iovec data = {.iov_base = (void *)(uintptr_t)packet,
                       .iov_len = offsetof(struct packet, slots) + count * sizeof packet->slots[0]};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  if (count > 0) {
    memset(&control, 0, sizeof control.header);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(count * sizeof *fds);
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof *fds);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
  }
  if (RETRY(sendmsg(end, &message, MSG_NOSIGNAL)) < 0 && errno != EPIPE && errno != ECONNRESET)
    die_errno("cannot pass on what the container needs from the host");
}

void handover_give(int end, const int *fds, size_t count) {
  handover_tell(end, fds, count, 0);
}

void handover_tell(int end, const int *fds, size_t count, uint32_t number) {
  struct packet packet = {.number = number};
  int given[AT_ONCE];
  size_t used = 0;
  for (size_t i = 0; i < count; i++) {
    if (fds[i] < 0)
      continue;
    if (used == AT_ONCE) {
      packet.more = 1;
      send_packet(end, &packet, given, used);
      used = 0;
    }
    packet.slots[used] = (uint32_t)i;
    given[used++] = fds[i];
  }
  packet.more = 0;
  send_packet(end, &packet, given, used);
}

enum taken { TAKEN_LAST, TAKEN_MORE, TAKEN_NOTHING };

static enum taken take_packet(int end, int *fds, size_t count, uint32_t *number) {
  struct packet packet;
  union control control;
  struct iovec data = {.iov_base = &packet, .iov_len = sizeof packet};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
  ssize_t size = RETRY(recvmsg(end, &message, MSG_CMSG_CLOEXEC));
  if (size == 0 || (size < 0 && errno == ECONNRESET))
    return TAKEN_NOTHING;
  if (size < (ssize_t)offsetof(struct packet, slots) || (message.msg_flags & MSG_CTRUNC) != 0)
    die_errno("cannot take what the container needs from the host");
  const struct cmsghdr *part = CMSG_FIRSTHDR(&message);
  size_t given = part == NULL ? 0 : (part->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
  for (size_t i = 0; i < given; i++)
    if (packet.slots[i] < count)
      memcpy(&fds[packet.slots[i]], CMSG_DATA(part) + i * sizeof *fds, sizeof *fds);
  *number = packet.number;
  return packet.more != 0 ? TAKEN_MORE : TAKEN_LAST;
}

bool handover_take(int end, int *fds, size_t count) {
  uint32_t number;
  return handover_hear(end, fds, count, &number);
}

bool handover_hear(int end, int *fds, size_t count, uint32_t *number) {
  enum taken taken;
  for (size_t i = 0; i < count; i++)
    fds[i] = -1;
  do
    taken = take_packet(end, fds, count, number);
  while (taken == TAKEN_MORE);
  return taken == TAKEN_LAST;
}
