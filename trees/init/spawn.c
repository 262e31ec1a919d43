// Starts the processes of services.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../launcher/util.h"
#include "command.h"
#include "probe.h"
#include "runtime.h"

#define FIRST_SOCKET 3 // SD_LISTEN_FDS_START
#define EXTRA 8

static const struct service *service_at(const struct runtime *runtime, uint32_t index) {
  return &runtime->services.list[index];
}

static bool is_main(const struct runtime *runtime, uint32_t index) {
  return (service_at(runtime, index)->plan->flags & PLAN_SERVICE_MAIN) != 0;
}

// In the child: a copy out of the way of the descriptors that are to get fixed numbers.
static int aside(int fd, int above) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, above);
  if (copy < 0)
    die_errno("cannot pass on files: the limit of open files is too low");
  return copy;
}

static void place(int fd, int number) {
  if (dup2(fd, number) < 0)
    die_errno("cannot pass on file %d", number);
}

static void standard_streams(const struct runtime *runtime, uint32_t index, enum service_start what) {
  const struct own *own = &runtime->own[index];
  bool whole = what == START_MAIN && is_main(runtime, index); // has the container's own input, and terminal
  if (!whole)
    place(runtime->null, STDIN_FILENO);
  if (what == START_CHECK) {
    place(runtime->null, STDOUT_FILENO);
    place(runtime->null, STDERR_FILENO);
  } else if (own->out[0] >= 0) {
    place(own->out[0], STDOUT_FILENO);
    place(own->out[1], STDERR_FILENO);
  }
}

static void numbered_files(const struct runtime *runtime, uint32_t index, int ready) {
  const struct own *own = &runtime->own[index];
  int ready_number = (int)service_at(runtime, index)->plan->ready_fd;
  int above = FIRST_SOCKET + (int)own->socket_count;
  if (ready >= 0 && above <= ready_number)
    above = ready_number + 1;
  int copies[PLAN_MAX_LISTEN];
  for (uint32_t i = 0; i < own->socket_count; i++)
    copies[i] = aside(own->sockets[i], above);
  int ready_copy = ready >= 0 ? aside(ready, above) : -1;
  for (uint32_t i = 0; i < own->socket_count; i++)
    place(copies[i], FIRST_SOCKET + (int)i);
  if (ready >= 0)
    place(ready_copy, ready_number);
}

static void socket_names(const struct runtime *runtime, uint32_t index, char *text, size_t room) {
  const struct service *service = service_at(runtime, index);
  size_t used = (size_t)snprintf(text, room, "LISTEN_FDNAMES=");
  const char *separator = "";
  for (uint32_t l = 0; l < service->plan->link_count; l++) {
    if (service->links[l].kind != PLAN_LINK_LISTEN || used >= room)
      continue;
    const char *name = plan_string(runtime->plan, service->links[l].name);
    used += (size_t)snprintf(text + used, room - used, "%s%s", separator, name);
    separator = ":";
  }
}

// Static: this is the child, which becomes another program.
static size_t variables(const struct runtime *runtime, uint32_t index, enum service_start what,
                        char *extra[EXTRA]) {
  static char name[PLAN_MAX_SERVICE_NAME + 32];
  static char text[EXTRA][64];
  static char names[PLAN_MAX_LISTEN * (PLAN_MAX_SERVICE_NAME + 1) + 32];
  const struct own *own = &runtime->own[index];
  const struct service *service = service_at(runtime, index);
  size_t count = 0;
  if (!runtime->command) {
    snprintf(name, sizeof name, CENSUS_VARIABLE "=%s", plan_string(runtime->plan, service->plan->name));
    extra[count++] = name;
  }
  if (own->notify >= 0) {
    snprintf(text[count], sizeof text[count], "NOTIFY_SOCKET=%s", own->notify_name);
    extra[count] = text[count];
    count++;
  }
  if (what == START_MAIN && own->socket_count > 0) {
    snprintf(text[count], sizeof text[count], "LISTEN_FDS=%u", own->socket_count);
    extra[count] = text[count];
    count++;
    snprintf(text[count], sizeof text[count], "LISTEN_PID=%d", (int)getpid());
    extra[count] = text[count];
    count++;
    socket_names(runtime, index, names, sizeof names);
    extra[count++] = names;
  }
  if (what == START_PRE_STOP || what == START_RELOAD) {
    snprintf(text[count], sizeof text[count], "MAINPID=%d", (int)own->pid[PROCESS_MAIN]);
    extra[count] = text[count];
    count++;
  } else if (what == START_POST_STOP) {
    snprintf(text[count], sizeof text[count], "EXIT_STATUS=%d", service->exit);
    extra[count] = text[count];
    count++;
  }
  return count;
}

static struct plan_words words_of(const struct plan_service *plan, enum service_start what) {
  switch (what) {
  case START_PRE_STOP:
    return plan->pre_stop;
  case START_POST_STOP:
    return plan->post_stop;
  case START_RELOAD:
    return plan->reload;
  case START_CHECK:
    return plan->health.exec;
  case START_MAIN:
    break;
  }
  return plan->argv;
}

_Noreturn static void child(const struct runtime *runtime, uint32_t index, enum service_start what, int ready,
                            int executed) {
  const struct service *service = service_at(runtime, index);
  const struct plan_service *plan = service->plan;
  char *extra[EXTRA];
  bool terminal = runtime->terminal && what == START_MAIN && is_main(runtime, index);
  struct command command = {.argv = words_of(plan, what),
                            .words = what == START_MAIN && runtime->command ? runtime->words : NULL,
                            .env = plan->env,
                            .extra = extra,
                            .user = plan->user,
                            .workdir = plan->workdir,
                            .links = service->links,
                            .link_count = plan->link_count,
                            .terminal = terminal,
                            .session = !runtime->command || what != START_MAIN,
                            .failure = executed >= 0 ? executed : 0};
  setrlimit(RLIMIT_NOFILE, &runtime->files);
  standard_streams(runtime, index, what);
  if (what == START_MAIN)
    numbered_files(runtime, index, ready);
  if (what == START_CHECK && plan->health.kind != PLAN_CHECK_EXEC) {
    command_prepare(runtime->plan, &command);
    probe_run(runtime->plan, &plan->health);
  }
  command.extra_count = variables(runtime, index, what, extra);
  command_execute(runtime->plan, &command);
}

static enum service_process process_of(enum service_start what) {
  return what == START_MAIN ? PROCESS_MAIN : what == START_CHECK ? PROCESS_CHECK : PROCESS_HOOK;
}

static void close_end(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static bool open_pipe(int ends[2]) {
  return pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 && fcntl(ends[1], F_SETFL, 0) == 0;
}

bool spawn_process(struct runtime *runtime, uint32_t index, enum service_start what) {
  struct own *own = &runtime->own[index];
  const struct plan_service *plan = service_at(runtime, index)->plan;
  int ready[2] = {-1, -1};
  int executed[2] = {-1, -1};
  bool tells_ready = what == START_MAIN && plan->ready == PLAN_READY_FD;
  bool tells_executed =
      what == START_MAIN && is_main(runtime, index) && runtime->channel >= 0 && !runtime->told_executed;
  pid_t pid = -1;
  if ((!tells_ready || open_pipe(ready)) && (!tells_executed || open_pipe(executed)))
    pid = fork();
  if (pid == 0)
    child(runtime, index, what, ready[1], executed[1]);
  if (pid < 0)
    warning_errno("cannot start service %s", plan_string(runtime->plan, plan->name));
  close_end(&ready[1]);
  close_end(&executed[1]);
  if (pid < 0) {
    close_end(&ready[0]);
    close_end(&executed[0]);
    runtime->look = true;
    return false;
  }
  own->pid[process_of(what)] = pid;
  if (what != START_MAIN)
    return true;
  own->session = pid;
  if (runtime->command && !runtime->terminal)
    setpgid(pid, pid); // whoever comes first; a forwarded signal must find the group
  close_end(&own->ready);
  own->ready = ready[0];
  if (ready[0] >= 0)
    runtime_watch(runtime, ready[0], EVENT_READY, index);
  close_end(&own->executed);
  own->executed = executed[0];
  if (executed[0] >= 0)
    runtime_watch(runtime, executed[0], EVENT_EXECUTED, index);
  return true;
}
