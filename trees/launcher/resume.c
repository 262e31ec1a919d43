#include "resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "syscalls.h"
#include "util.h"

extern char **environ;

// Both programs are the same file, so this is the same in both.
struct kept {
  struct state state;
  struct restart restart;
  struct locks locks;
  struct backlog backlog;
  int plan_fd;
  int init_fd;
  int listener;
  int status;
  uint32_t numbers;
  bool has_failed;
  char failed[UTIL_MESSAGE];
  struct client clients[CONTROL_CLIENTS]; // each with what `in` and `out` held behind the structure
};

static void keep_open(int fd) {
  if (fd >= 0 && fcntl(fd, F_SETFD, 0) != 0)
    die_errno("cannot restart: descriptor %d", fd);
}

static void keep_descriptors(const struct instance *instance) {
  keep_open(instance->state.dir);
  keep_open(instance->state.lock);
  keep_open(instance->locks.tree);
  keep_open(instance->locks.own);
  keep_open(instance->launch.plan_fd);
  keep_open(instance->launch.init_fd);
  keep_open(instance->control.listener);
  keep_open(instance->options.status_fd);
  for (unsigned i = 0; i < instance->options.preserve_fds; i++)
    keep_open(3 + (int)i);
  for (size_t i = 0; i < instance->options.hold_count; i++)
    keep_open(instance->options.hold[i]);
  for (int i = 0; i < CONTROL_CLIENTS; i++)
    if (instance->control.clients[i].kind != CLIENT_NONE)
      keep_open(instance->control.clients[i].fd);
}

static void save(int fd, const void *bytes, size_t size) {
  if (write_all(fd, bytes, size) != 0)
    die_errno("cannot restart: saving what is kept");
}

static int save_all(const struct instance *instance, const char *failed) {
  static struct kept kept;
  int fd = sys_memfd_create("trees-resume", MFD_CLOEXEC);
  if (fd < 0)
    die_errno("cannot restart: memfd_create");
  kept = (struct kept){.state = instance->state,
                       .restart = instance->restart,
                       .locks = instance->locks,
                       .backlog = instance->backlog,
                       .plan_fd = instance->launch.plan_fd,
                       .init_fd = instance->launch.init_fd,
                       .listener = instance->control.listener,
                       .status = instance->status,
                       .numbers = instance->control.numbers,
                       .has_failed = failed != NULL};
  snprintf(kept.failed, sizeof kept.failed, "%s", failed == NULL ? "" : failed);
  memcpy(kept.clients, instance->control.clients, sizeof kept.clients);
  save(fd, &kept, sizeof kept);
  for (const struct client *client = kept.clients; client < kept.clients + CONTROL_CLIENTS; client++) {
    if (client->kind == CLIENT_NONE)
      continue;
    save(fd, client->in, client->in_used);
    save(fd, client->out + client->out_start, client->out_end - client->out_start);
  }
  keep_open(fd);
  return fd;
}

void resume_execute(struct instance *instance, const char *failed) {
  char option[32];
  size_t count = 0;
  if (instance->next_plan >= 0)
    state_keep_plan(&instance->state, instance->next_plan);
  while (instance->argv[count] != NULL)
    count++;
  char **argv = calloc(count + 2, sizeof *argv);
  if (argv == NULL)
    die_errno("cannot restart");
  snprintf(option, sizeof option, "--resume=%d", save_all(instance, failed));
  keep_descriptors(instance);
  argv[0] = instance->argv[0];
  argv[1] = option;
  // The option of the restart before this one is not repeated.
  size_t from = instance->resumed ? 2 : 1;
  memcpy(argv + 2, instance->argv + from, (count - from) * sizeof *argv);
  execve("/proc/self/exe", argv, environ);
  die_errno("cannot restart: execve");
}

static void load(int fd, void *bytes, size_t size) {
  char *at = bytes;
  while (size > 0) {
    ssize_t count = RETRY(read(fd, at, size));
    if (count <= 0)
      die("cannot restart: what was kept is not there");
    at += count;
    size -= (size_t)count;
  }
}

static void load_client(int fd, struct client *client) {
  size_t waiting = client->out_end - client->out_start;
  client->in = malloc(REQUEST_MAX);
  client->out = waiting == 0 ? NULL : malloc(waiting);
  client->out_room = client->out_end = waiting;
  client->out_start = 0;
  if (client->in == NULL || (waiting > 0 && client->out == NULL))
    die_errno("cannot restart");
  load(fd, client->in, client->in_used);
  load(fd, client->out, waiting);
}

const char *resume_load(struct instance *instance) {
  static struct kept kept;
  CLEANUP_FD int fd = instance->options.resume_fd;
  // It is named after the link that it was executed by.
  prctl(PR_SET_NAME, "trees-launch", 0, 0, 0);
  if (lseek(fd, 0, SEEK_SET) != 0)
    die_errno("wrong usage: expected --resume to name a descriptor");
  load(fd, &kept, sizeof kept);
  instance->state = kept.state;
  instance->restart = kept.restart;
  instance->locks = kept.locks;
  instance->backlog = kept.backlog;
  instance->launch.plan_fd = kept.plan_fd;
  instance->launch.init_fd = kept.init_fd;
  instance->control.listener = kept.listener;
  instance->control.numbers = kept.numbers;
  instance->status = kept.status;
  memcpy(instance->control.clients, kept.clients, sizeof kept.clients);
  for (struct client *client = instance->control.clients;
       client < instance->control.clients + CONTROL_CLIENTS; client++)
    if (client->kind != CLIENT_NONE)
      load_client(fd, client);
  return kept.has_failed ? kept.failed : NULL;
}
