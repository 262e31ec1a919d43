#include "streams.h"

#include "syscalls.h"
#include "util.h"

static void make_pipe(int *reader, int *writer) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    die_errno("cannot connect the container's streams: pipe");
  *reader = ends[0];
  *writer = ends[1];
}

void streams_prepare(struct streams *streams, const struct streams_wanted *plan) {
  *streams = (struct streams){.out = -1, .err = -1, .in = -1, .container = {-1, -1, -1}};
  if (plan->detached || (plan->piped && !plan->tty))
    make_pipe(&streams->err, &streams->container[2]);
  if (plan->tty)
    return;
  if (plan->piped || plan->detached)
    make_pipe(&streams->out, &streams->container[1]);
  if (!plan->detached)
    return;
  if (plan->input) {
    make_pipe(&streams->container[0], &streams->in);
    fcntl(streams->in, F_SETFL, O_NONBLOCK);
    return;
  }
  streams->container[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (streams->container[0] < 0)
    die_errno("cannot open /dev/null");
}

void streams_enter(const struct streams *streams) {
  for (int fd = 0; fd <= 2; fd++)
    if (streams->container[fd] >= 0 && dup2(streams->container[fd], fd) != fd)
      die_errno("cannot connect the container's streams");
}

void streams_started(struct streams *streams) {
  for (int fd = 0; fd <= 2; fd++) {
    close_fd(&streams->container[fd]);
    streams->container[fd] = -1;
  }
}
