#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "clock.h"
#include "syscalls.h"
#include "util.h"

#define OUT_MAX (256u << 10)
#define ASKING_MS 10000
#define LEAVING_MS 10000
#define FINISH_MS 2000
#define TICK_MS 50

void control_open(struct control *control, int dir) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  control->listener = -1;
  if (dir < 0)
    return;
  // The directory's own path may be longer than an address has room for.
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control", dir);
  if (unlinkat(dir, "control", 0) != 0 && errno != ENOENT)
    die_errno("cannot remove the old control socket");
  control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (control->listener < 0)
    die_errno("cannot make the control socket");
  // Before it has a name: nobody ever finds it with another mode.
  if (fchmod(control->listener, 0600) != 0 ||
      bind(control->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(control->listener, CONTROL_CLIENTS) != 0)
    die_errno("cannot listen on the control socket");
}

static void refuse(int fd, const char *why) {
  char line[128];
  int length = snprintf(line, sizeof line, "error %s\n", why);
  send(fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
  close(fd);
}

static bool may_ask(int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == geteuid());
}

static void accept_client(struct control *control) {
  int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0)
    return;
  if (!may_ask(fd)) {
    refuse(fd, "the instance belongs to somebody else");
    return;
  }
  struct client *client = control->clients;
  while (client < control->clients + CONTROL_CLIENTS && client->kind != CLIENT_NONE)
    client++;
  char *in = client < control->clients + CONTROL_CLIENTS ? malloc(REQUEST_MAX) : NULL;
  if (in == NULL) {
    refuse(fd, "too many clients");
    return;
  }
  *client = (struct client){.kind = CLIENT_ASKING,
                            .fd = fd,
                            .number = ++control->numbers,
                            .deadline = clock_ms() + ASKING_MS,
                            .in = in};
}

void control_drop(struct client *client) {
  close(client->fd);
  free(client->in);
  free(client->out);
  *client = (struct client){.kind = CLIENT_NONE};
}

void control_flush(struct client *client) {
  while (client->out_start < client->out_end) {
    ssize_t count = send(client->fd, client->out + client->out_start, client->out_end - client->out_start,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0 && errno == EAGAIN)
      return;
    if (count < 0) {
      control_drop(client);
      return;
    }
    client->out_start += (size_t)count;
    if (client->out_end - client->out_start < CONTROL_FULL)
      client->full_since = 0;
  }
  client->out_start = client->out_end = 0;
  if (client->kind == CLIENT_LEAVING)
    control_drop(client);
}

static bool grow(struct client *client, size_t size) {
  if (client->out_start > 0) {
    memmove(client->out, client->out + client->out_start, client->out_end - client->out_start);
    client->out_end -= client->out_start;
    client->out_start = 0;
  }
  size_t room = client->out_room == 0 ? 1024 : client->out_room;
  while (room < client->out_end + size)
    room *= 2;
  if (room > OUT_MAX)
    return false;
  char *out = room == client->out_room ? client->out : realloc(client->out, room);
  if (out == NULL)
    return false;
  client->out = out;
  client->out_room = room;
  return true;
}

bool control_append(struct client *client, const void *bytes, size_t size) {
  if (size > client->out_room - client->out_end && !grow(client, size))
    return false;
  memcpy(client->out + client->out_end, bytes, size);
  client->out_end += size;
  if (client->full_since == 0 && client->out_end - client->out_start >= CONTROL_FULL)
    client->full_since = clock_ms();
  return true;
}

void control_line(struct client *client, const char *format, ...) {
  char line[REQUEST_MAX];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (length < 0 || length > (int)sizeof line - 2)
    return;
  line[length] = '\n';
  control_append(client, line, (size_t)length + 1);
}

void control_end(struct client *client, const char *error) {
  if (error == NULL)
    control_line(client, "ok");
  else
    control_line(client, "error %s", error);
  client->kind = CLIENT_LEAVING;
  client->deadline = clock_ms() + LEAVING_MS;
  control_flush(client);
}

struct client *control_find(struct control *control, uint32_t number) {
  for (struct client *client = control->clients; client < control->clients + CONTROL_CLIENTS; client++)
    if (client->kind != CLIENT_NONE && client->number == number)
      return client;
  return NULL;
}

static void handle_request(struct control *control, struct client *client, size_t size) {
  struct request request;
  // What follows the request is kept for an attached client: it may type at once.
  char line[REQUEST_MAX];
  memcpy(line, client->in, size);
  client->in_used -= size + 1;
  memmove(client->in, client->in + size + 1, client->in_used);
  const char *problem = request_parse(line, size, &request);
  client->deadline = CONTROL_NEVER;
  if (problem != NULL)
    control_end(client, problem);
  else
    control->handler(control->context, client, &request);
}

// At the end of what is sent: false.
static bool fill(struct client *client) {
  ssize_t count =
      RETRY(recv(client->fd, client->in + client->in_used, REQUEST_MAX - client->in_used, MSG_DONTWAIT));
  if (count < 0)
    return errno == EAGAIN;
  client->in_used += (size_t)count;
  return count > 0;
}

static void read_request(struct control *control, struct client *client) {
  if (!fill(client)) {
    control_drop(client);
    return;
  }
  char *end = memchr(client->in, '\n', client->in_used);
  if (end != NULL)
    handle_request(control, client, (size_t)(end - client->in));
  else if (client->in_used == REQUEST_MAX)
    control_end(client, "request too long");
}

static void read_input(struct client *client) {
  if (client->in_used < REQUEST_MAX && !fill(client))
    client->gives_input = false; // it listens on
}

// Others have nothing to say any more: readable means that they are gone, or that they send what nobody asked
// for.
static void watch(struct client *client) {
  char ignored[256];
  ssize_t count = RETRY(recv(client->fd, ignored, sizeof ignored, MSG_DONTWAIT));
  if (count == 0 || (count < 0 && errno != EAGAIN))
    control_drop(client);
}

void control_poll(const struct control *control, struct pollfd polled[CONTROL_POLLED], bool input) {
  polled[0] = (struct pollfd){.fd = control->listener, .events = POLLIN};
  for (int i = 0; i < CONTROL_CLIENTS; i++) {
    const struct client *client = &control->clients[i];
    short events = client->out_start < client->out_end ? POLLOUT : 0;
    if (client->kind != CLIENT_LEAVING && client->kind != CLIENT_ATTACHED)
      events |= POLLIN;
    if (client->kind == CLIENT_ATTACHED && client->gives_input && input)
      events |= POLLIN;
    polled[i + 1] = (struct pollfd){.fd = client->kind == CLIENT_NONE ? -1 : client->fd, .events = events};
  }
}

static void act(struct control *control, struct client *client, short events) {
  if (client->kind == CLIENT_NONE)
    return;
  if ((events & POLLOUT) != 0)
    control_flush(client);
  if ((events & POLLIN) != 0 && client->kind == CLIENT_ASKING)
    read_request(control, client);
  else if ((events & POLLIN) != 0 && client->kind == CLIENT_ATTACHED)
    read_input(client);
  else if ((events & POLLIN) != 0 && client->kind != CLIENT_LEAVING && client->kind != CLIENT_NONE)
    watch(client);
  // Both directions are closed: without this it would be reported again and again.
  if ((events & (POLLHUP | POLLERR)) != 0 && (events & POLLIN) == 0 && client->kind != CLIENT_NONE)
    control_drop(client);
}

void control_act(struct control *control, const struct pollfd polled[CONTROL_POLLED]) {
  int64_t now = clock_ms();
  for (int i = 0; i < CONTROL_CLIENTS; i++) {
    struct client *client = &control->clients[i];
    if (polled[i + 1].fd >= 0 && client->kind != CLIENT_NONE && client->fd == polled[i + 1].fd)
      act(control, client, polled[i + 1].revents);
    if ((client->kind == CLIENT_ASKING || client->kind == CLIENT_LEAVING) && client->deadline <= now)
      control_drop(client);
  }
  if ((polled[0].revents & POLLIN) != 0)
    accept_client(control);
}

int64_t control_deadline(const struct control *control) {
  int64_t first = CONTROL_NEVER;
  for (int i = 0; i < CONTROL_CLIENTS; i++) {
    const struct client *client = &control->clients[i];
    if ((client->kind == CLIENT_ASKING || client->kind == CLIENT_LEAVING) && client->deadline < first)
      first = client->deadline;
  }
  return first;
}

void control_finish(struct control *control) {
  if (control->listener >= 0)
    close(control->listener);
  control->listener = -1;
  int64_t patience = clock_ms() + FINISH_MS;
  for (;;) {
    struct pollfd polled[CONTROL_CLIENTS];
    size_t waiting = 0;
    for (int i = 0; i < CONTROL_CLIENTS; i++) {
      struct client *client = &control->clients[i];
      if (client->kind != CLIENT_NONE)
        control_flush(client);
      if (client->kind == CLIENT_NONE)
        continue;
      if (client->out_start == client->out_end)
        control_drop(client);
      else
        polled[waiting++] = (struct pollfd){.fd = client->fd, .events = POLLOUT};
    }
    if (waiting == 0 || clock_ms() >= patience)
      return;
    poll(polled, waiting, TICK_MS);
  }
}
