#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "mounts.h"
#include "paths.h"
#include "syscalls.h"
#include "util.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif
#define DEVPTS_MAGIC 0x1cd1

void terminal_prepare(struct terminal *terminal) {
  int channel[2];
  if (!terminal->wanted)
    return;
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, channel) != 0)
    die_errno("cannot set up a terminal: socketpair");
  terminal->launcher_end = channel[0];
  terminal->container_end = channel[1];
  terminal->on_host = tcgetattr(STDIN_FILENO, &terminal->modes) == 0;
  terminal->size = (struct winsize){.ws_row = 24, .ws_col = 80};
  if (terminal->on_host)
    ioctl(STDIN_FILENO, TIOCGWINSZ, &terminal->size);
}

static void send_pair(const struct terminal *terminal, const int pair[2]) {
  char byte = 0;
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int[2]))];
  } control = {.bytes = {0}};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int[2]));
  memcpy(CMSG_DATA(header), pair, sizeof(int[2]));
  if (RETRY(sendmsg(terminal->container_end, &message, MSG_NOSIGNAL)) != 1)
    die_errno("cannot pass on the terminal");
}

// The terminal is also what the system's messages go to.
static void attach_console(int slave) {
  CLEANUP_FD int dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  CLEANUP_FD int place = openat(dev, "console", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (dev < 0 || place < 0)
    return; // the tree has one of its own, or /dev is somebody else's
  CLEANUP_FD int target = openat(dev, "console", O_PATH | O_CLOEXEC | O_NOFOLLOW);
  CLEANUP_FD int mount = sys_open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (target < 0 || mount < 0)
    die_errno("cannot set up /dev/console");
  mounts_attach(mount, target, "the terminal", "/dev/console");
}

void terminal_open(const struct terminal *terminal) {
  if (!terminal->wanted)
    return;
  struct statfs status;
  int zero = 0;
  // Our own devpts; its slave comes from the master, never by a name (CVE-2025-52565).
  CLEANUP_FD int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
  if (master < 0 || fstatfs(master, &status) != 0 || status.f_type != DEVPTS_MAGIC)
    die_errno("cannot open a terminal: /dev/pts/ptmx");
  if (ioctl(master, TIOCSPTLCK, &zero) != 0)
    die_errno("cannot unlock the terminal");
  CLEANUP_FD int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0)
    die_errno("cannot open the terminal's other end");
  if (ioctl(slave, TIOCSWINSZ, &terminal->size) != 0 ||
      (terminal->on_host && tcsetattr(slave, TCSANOW, &terminal->modes) != 0))
    die_errno("cannot set up the terminal");
  send_pair(terminal, (int[]){master, slave});
  attach_console(slave);
  for (int fd = 0; fd <= 2; fd++)
    if (dup2(slave, fd) != fd)
      die_errno("cannot take the terminal as standard streams");
}

int terminal_receive(const struct terminal *terminal, int *slave) {
  int pair[2];
  *slave = -1;
  char byte;
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int[2]))];
  } control;
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  if (RETRY(recvmsg(terminal->launcher_end, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) != 1)
    return -1;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_type != SCM_RIGHTS)
    return -1;
  memcpy(pair, CMSG_DATA(header), sizeof pair);
  if (terminal->keep_open)
    *slave = pair[1];
  else
    close(pair[1]);
  return pair[0];
}
