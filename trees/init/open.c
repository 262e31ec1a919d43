// Everything that services need before the first one is started. Nothing is allocated later.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../launcher/util.h"
#include "listen.h"
#include "runtime.h"
#include "users.h"

#define OWN_FILES 32    // of the init itself, and for a moment while something is started
#define SERVICE_FILES 5 // of one service: outputs, notification, readiness, execution

void runtime_watch(struct runtime *runtime, int fd, unsigned kind, uint32_t index) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | index};
  if (epoll_ctl(runtime->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    warning_errno("cannot wait for a service");
}

static size_t socket_count(const struct plan *plan) {
  size_t count = 0;
  for (size_t i = 0; i < plan->service_link_count; i++)
    count += plan->service_links[i].kind == PLAN_LINK_LISTEN;
  return count;
}

// The soft limit of many systems, 1,024, is too low for hundreds of services; they get it back.
static void raise_file_limit(struct runtime *runtime) {
  size_t needed = OWN_FILES + runtime->plan->service_count * SERVICE_FILES + socket_count(runtime->plan);
  if (getrlimit(RLIMIT_NOFILE, &runtime->files) != 0)
    die_errno("cannot read the limit of open files");
  struct rlimit raised = runtime->files;
  if (raised.rlim_cur >= needed)
    return;
  if (raised.rlim_max < needed)
    die("cannot start %zu services: %zu open files are needed, and the limit is %llu",
        runtime->plan->service_count, needed, (unsigned long long)raised.rlim_max);
  raised.rlim_cur = needed;
  if (setrlimit(RLIMIT_NOFILE, &raised) != 0)
    die_errno("cannot raise the limit of open files to %zu", needed);
}

static size_t align(size_t size) {
  return (size + 15) & ~(size_t)15;
}

static void *take(char **memory, size_t size) {
  void *result = *memory;
  *memory += align(size);
  return result;
}

static void open_sockets(struct runtime *runtime, uint32_t index, int *sockets) {
  const struct plan *plan = runtime->plan;
  const struct plan_service *service = &plan->services[index];
  struct own *own = &runtime->own[index];
  own->sockets = sockets;
  struct user user = {0};
  for (uint32_t l = 0; l < service->link_count; l++) {
    const struct plan_service_link *link = &plan->service_links[service->link_first + l];
    if (link->kind != PLAN_LINK_LISTEN)
      continue;
    if (user.home[0] == '\0')
      user_find(plan_string(plan, service->user != 0 ? service->user : plan->config->user), &user);
    int fd = listen_open(plan, link, user.uid, user.gid);
    char port[16] = "";
    if (link->target < PLAN_LISTEN_UNIX)
      snprintf(port, sizeof port, ", port %u", link->number);
    if (fd < 0)
      die_errno("cannot listen for service %s on %s%s", plan_string(plan, service->name),
                plan_string(plan, link->text), port);
    sockets[own->socket_count++] = fd;
    if ((service->flags & PLAN_SERVICE_LAZY) != 0)
      runtime_watch(runtime, fd, EVENT_SOCKET, index);
  }
}

static void open_outputs(struct runtime *runtime, struct own *own) {
  int ends[2];
  for (int i = 0; i < 2; i++) {
    own->out[i] = -1;
    own->read[i] = -1;
    // Without a launcher that takes them, and for a single command, outputs are those of the container.
    if (runtime->channel < 0 || runtime->command)
      continue;
    if (pipe2(ends, O_CLOEXEC) != 0)
      die_errno("cannot make pipes for the output of services");
    own->read[i] = ends[0];
    own->out[i] = ends[1];
  }
}

static void open_service(struct runtime *runtime, uint32_t index) {
  struct own *own = &runtime->own[index];
  const struct plan_service *service = &runtime->plan->services[index];
  own->notify = -1;
  own->ready = -1;
  own->executed = -1;
  open_outputs(runtime, own);
  if (service->ready != PLAN_READY_NOTIFY)
    return;
  own->notify = notify_open(own->notify_name);
  if (own->notify < 0)
    die_errno("cannot open a notification socket for service %s", plan_string(runtime->plan, service->name));
  runtime_watch(runtime, own->notify, EVENT_NOTIFY, index);
}

void runtime_open(struct runtime *runtime) {
  const struct plan *plan = runtime->plan;
  size_t count = plan->service_count;
  size_t sizes[] = {count * sizeof *runtime->own, count * sizeof *runtime->subjects,
                    watches_count(plan) * sizeof *runtime->watches.list, socket_count(plan) * sizeof(int),
                    services_size(plan)};
  size_t total = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    total += align(sizes[i]);
  raise_file_limit(runtime);
  char *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  runtime->epoll = epoll_create1(EPOLL_CLOEXEC);
  runtime->null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (memory == MAP_FAILED || runtime->epoll < 0 || runtime->null < 0)
    die_errno("cannot prepare the services");
  runtime->own = take(&memory, sizes[0]);
  runtime->subjects = take(&memory, sizes[1]);
  struct watch *watches = take(&memory, sizes[2]);
  int *sockets = take(&memory, sizes[3]);
  runtime_watch(runtime, runtime->signals, EVENT_SIGNALS, 0);
  if (runtime->channel >= 0)
    runtime_watch(runtime, runtime->channel, EVENT_CHANNEL, 0);
  for (uint32_t i = 0; i < count; i++) {
    open_service(runtime, i);
    open_sockets(runtime, i, sockets);
    sockets += runtime->own[i].socket_count;
  }
  watches_open(&runtime->watches, plan, watches);
  if (runtime->watches.fd >= 0)
    runtime_watch(runtime, runtime->watches.fd, EVENT_FILES, 0);
  // What is left is for the machine itself; `memory` points at it.
  runtime->memory = memory;
}
