#include "network.h"

#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "syscalls.h"
#include "util.h"

// For a few calls, and for the message if one of them fails.
#define STACK_SIZE 16384

static void loopback_up(void) {
  CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "lo"};
  if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0)
    die_errno("cannot find the loopback interface");
  request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
  if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
    die_errno("cannot bring up the loopback interface");
}

static int make(void *context) {
  struct network *network = context;
  if (sys_unshare(CLONE_NEWNET) != 0)
    die_errno("cannot create the container's network namespace: unshare");
  loopback_up();
  network->fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (network->fd < 0)
    die_errno("cannot open the container's network namespace");
  return 0;
}

void network_begin(const struct plan *plan, struct network *network) {
  static _Alignas(16) char stack[STACK_SIZE];
  *network = (struct network){.fd = -1};
  if ((plan->config->namespaces & PLAN_NS_NET) == 0)
    return;
  // No SIGCHLD: it is waited for by name.
  network->process = clone(make, stack + sizeof stack, CLONE_VM | CLONE_FILES, network);
  if (network->process < 0)
    die_errno("cannot create the container's network namespace: clone");
}

void network_join(struct network *network) {
  int status;
  if (network->process == 0)
    return;
  if (RETRY(waitpid(network->process, &status, __WALL)) < 0)
    die_errno("cannot wait for the container's network namespace");
  network->process = 0;
  if (status != 0)
    _exit(STATUS_FAILED); // it has said why
  CLEANUP_FD int fd = network->fd;
  if (sys_setns(fd, CLONE_NEWNET) != 0)
    die_errno("cannot enter the container's network namespace: setns");
}
