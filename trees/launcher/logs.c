#include "logs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "log-console.h"
#include "log-file.h"
#include "log-forward.h"
#include "log-limit.h"
#include "log-store.h"
#include "util.h"

#define READ_SIZE (128 << 10)
#define PIPE_SIZE (256 << 10)
#define QUIET_SIZE (4 << 10)
#define QUIET_READS 32
#define READY 32

struct service {
  struct service *next;
  struct log_file file;
  struct log_limit limit;
  char name[LOG_NAME];
};

struct stream {
  struct stream *next;
  struct service *service;
  enum log_channel channel;
  int fd;      // -1: fed
  char *piece; // a line that has begun; allocated while there is one
  size_t used;
};

struct logs {
  int events; // what logs_descriptor() gives
  int inputs; // within it: the services' pipes
  bool paused;
  unsigned quiet_reads; // until memory is given back; 0: there is none to give
  struct log_setup setup;
  const struct plan_log *config;
  struct log_store store;
  struct log_forward forward;
  struct log_console *console;
  struct service *services;
  struct stream *streams;
};

static void watch(int epoll, int fd, void *what, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = what};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    warning_errno("cannot watch the output of a service");
}

struct logs *logs_open(const struct log_setup *setup) {
  static const struct plan_log none = {.flags = PLAN_LOG_PREFIX};
  struct logs *logs = calloc(1, sizeof *logs);
  if (logs == NULL)
    die_errno("cannot start");
  logs->setup = *setup;
  logs->config = setup->plan->log != NULL ? setup->plan->log : &none;
  log_store_open(&logs->store, setup->plan, logs->config);
  log_forward_open(&logs->forward, logs->config->flags, plan_string(setup->plan, logs->config->instance));
  if (setup->console)
    logs->console = log_console_open((logs->config->flags & PLAN_LOG_PREFIX) != 0,
                                     (logs->config->flags & PLAN_LOG_BLOCKING) != 0);
  // A reader that goes away is noticed where it is written to.
  signal(SIGPIPE, SIG_IGN);
  logs->events = epoll_create1(EPOLL_CLOEXEC);
  logs->inputs = epoll_create1(EPOLL_CLOEXEC);
  if (logs->events < 0 || logs->inputs < 0)
    die_errno("cannot wait for the output of services");
  watch(logs->events, logs->inputs, NULL, EPOLLIN);
  return logs;
}

int logs_descriptor(const struct logs *logs) {
  return logs->events;
}

static struct service *find_service(struct logs *logs, const char *name) {
  for (struct service *service = logs->services; service != NULL; service = service->next)
    if (strcmp(service->name, name) == 0)
      return service;
  struct service *service = calloc(1, sizeof *service);
  if (service == NULL)
    return NULL;
  snprintf(service->name, sizeof service->name, "%s", name);
  log_file_init(&service->file, service->name);
  log_limit_init(&service->limit, logs->config->rate, logs->config->burst);
  service->next = logs->services;
  logs->services = service;
  return service;
}

static struct stream *new_stream(struct logs *logs, const char *name, enum log_channel channel, int fd) {
  struct stream *stream = calloc(1, sizeof *stream);
  struct service *service = find_service(logs, name);
  if (stream == NULL || service == NULL) {
    free(stream);
    return NULL;
  }
  *stream = (struct stream){.next = logs->streams, .service = service, .channel = channel, .fd = fd};
  logs->streams = stream;
  return stream;
}

static void add(struct logs *logs, const char *name, enum log_channel channel, int fd) {
  if (fd < 0)
    return;
  struct stream *stream = new_stream(logs, name, channel, fd);
  if (stream == NULL) {
    warning("cannot keep the output of %s: no memory", name);
    close(fd);
    return;
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETPIPE_SZ,
        PIPE_SIZE); // fewer switches between writer and reader; what the kernel allows will do
  watch(logs->inputs, fd, stream, EPOLLIN);
}

void logs_add(struct logs *logs, const char *service, int out, int err) {
  add(logs, service, LOG_OUT, out);
  add(logs, service, LOG_ERR, err);
}

static void pass_on(struct logs *logs, struct service *service, const struct log_line *line) {
  log_file_line(&logs->store, &service->file, line);
  log_forward_line(&logs->forward, line);
  if (logs->console != NULL && log_console_prefixed(logs->console))
    log_console_line(logs->console, line);
}

static void say_dropped(struct logs *logs, struct service *service, struct log_line line) {
  char text[LOG_LIMIT_NOTICE];
  line.size = log_limit_notice(&service->limit, text);
  line.bytes = text;
  line.partial = false;
  line.channel = LOG_ERR;
  if (line.size > 0)
    pass_on(logs, service, &line);
}

static void take_line(struct logs *logs, struct service *service, const struct log_line *line) {
  if (!log_limit_allows(&service->limit, line))
    return;
  say_dropped(logs, service, *line);
  pass_on(logs, service, line);
}

static bool keep(struct stream *stream, const char *bytes, size_t size) {
  if (stream->piece == NULL)
    stream->piece = malloc(LOG_PIECE);
  if (stream->piece == NULL)
    return false;
  memcpy(stream->piece + stream->used, bytes, size);
  stream->used += size;
  return true;
}

static void finish_piece(struct logs *logs, struct stream *stream, struct log_line *line, bool partial) {
  line->bytes = stream->piece;
  line->size = stream->used;
  line->partial = partial;
  take_line(logs, stream->service, line);
  free(stream->piece);
  stream->piece = NULL;
  stream->used = 0;
}

// Whether the file is all that takes lines, each of them.
static bool only_stored(const struct logs *logs, const struct service *service) {
  return logs->store.directory >= 0 && service->limit.rate == 0 && !log_forward_wanted(&logs->forward) &&
         (logs->console == NULL || !log_console_prefixed(logs->console));
}

// Divides what came into lines, and lines into pieces of at most LOG_PIECE bytes.
static void split(struct logs *logs, struct stream *stream, struct log_line *line, const char *bytes,
                  size_t size) {
  bool stored = only_stored(logs, stream->service);
  while (size > 0) {
    if (stored && stream->used == 0) {
      size_t taken = log_file_lines(&logs->store, &stream->service->file, line, bytes, size);
      bytes += taken;
      size -= taken;
      if (size == 0)
        return;
    }
    size_t room = LOG_PIECE - stream->used;
    size_t look = size < room + 1 ? size : room + 1; // the newline itself needs no room
    const char *end = memchr(bytes, '\n', look);
    size_t length = end != NULL ? (size_t)(end - bytes) : look > room ? room : look;
    bool whole = end != NULL || look > room;
    if (stream->used == 0 && whole) { // the common case: nothing is copied
      line->bytes = bytes;
      line->size = length;
      line->partial = end == NULL;
      take_line(logs, stream->service, line);
    } else if (!keep(stream, bytes, length)) { // without memory the piece ends here
      line->bytes = bytes;
      line->size = length;
      line->partial = true;
      take_line(logs, stream->service, line);
    } else if (whole) {
      finish_piece(logs, stream, line, end == NULL);
    }
    length += end != NULL;
    bytes += length;
    size -= length;
  }
}

static void take(struct logs *logs, struct stream *stream, const char *bytes, size_t size) {
  struct log_line line = {.service = stream->service->name, .channel = stream->channel};
  clock_gettime(CLOCK_REALTIME, &line.time);
  if (logs->setup.tee != NULL)
    logs->setup.tee(logs->setup.context, line.service, line.channel, bytes, size);
  if (logs->console != NULL && !log_console_prefixed(logs->console))
    log_console_raw(logs->console, line.channel, bytes, size);
  split(logs, stream, &line, bytes, size);
  log_file_flush(&logs->store, &stream->service->file);
}

static void end_stream(struct logs *logs, struct stream *stream) {
  struct log_line line = {.service = stream->service->name, .channel = stream->channel};
  clock_gettime(CLOCK_REALTIME, &line.time);
  if (stream->used > 0)
    finish_piece(logs, stream, &line, true);
  say_dropped(logs, stream->service, line);
  log_file_flush(&logs->store, &stream->service->file);
  for (struct stream **at = &logs->streams; *at != NULL; at = &(*at)->next) {
    if (*at != stream)
      continue;
    *at = stream->next;
    break;
  }
  if (stream->fd >= 0) {
    // Closing is not enough: a compressor that was forked a moment ago may hold a copy, which would be
    // reported.
    epoll_ctl(logs->inputs, EPOLL_CTL_DEL, stream->fd, NULL);
    close(stream->fd);
  }
  free(stream);
}

// The memory of a burst goes back when only little has come for a while.
static void release_memory(struct logs *logs, char *bytes, size_t count) {
  if (count > QUIET_SIZE) {
    logs->quiet_reads = QUIET_READS;
    return;
  }
  if (logs->quiet_reads == 0 || --logs->quiet_reads > 0)
    return;
  madvise(bytes, READ_SIZE, MADV_DONTNEED);
  log_file_release();
}

// False at the end, or when nothing is there.
static bool read_stream(struct logs *logs, struct stream *stream) {
  alignas(4096) static char bytes[READ_SIZE];
  ssize_t count = RETRY(read(stream->fd, bytes, sizeof bytes));
  if (count > 0)
    take(logs, stream, bytes, (size_t)count);
  else if (count == 0 || errno != EAGAIN)
    end_stream(logs, stream);
  if (count > 0)
    release_memory(logs, bytes, (size_t)count);
  return count > 0;
}

void logs_feed(struct logs *logs, const char *service, enum log_channel channel, const char *bytes,
               size_t size) {
  struct stream *stream = logs->streams;
  while (stream != NULL &&
         (stream->fd >= 0 || stream->channel != channel || strcmp(stream->service->name, service) != 0))
    stream = stream->next;
  if (stream == NULL)
    stream = new_stream(logs, service, channel, -1);
  if (stream == NULL)
    return;
  take(logs, stream, bytes, size);
  if (logs->console != NULL)
    log_console_flush(logs->console);
}

// The console is watched only while something waits for its reader: an idle logger wakes up for nothing.
static void watch_console(struct logs *logs) {
  bool pause = log_console_full(logs->console);
  if (pause != logs->paused) {
    logs->paused = pause;
    if (pause)
      epoll_ctl(logs->events, EPOLL_CTL_DEL, logs->inputs, NULL);
    else
      watch(logs->events, logs->inputs, NULL, EPOLLIN);
  }
  for (enum log_channel channel = LOG_OUT; channel <= LOG_ERR; channel++) {
    int fd = log_console_descriptor(logs->console, channel);
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = logs};
    epoll_ctl(logs->events, log_console_waiting(logs->console, channel) ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd,
              &event);
  }
}

void logs_act(struct logs *logs) {
  struct epoll_event ready[READY];
  int count = logs->paused ? 0 : epoll_wait(logs->inputs, ready, READY, 0);
  for (int i = 0; i < count; i++)
    read_stream(logs, ready[i].data.ptr);
  if (logs->console == NULL)
    return;
  log_console_flush(logs->console);
  watch_console(logs);
}

bool logs_reader_gone(const struct logs *logs) {
  return logs->console != NULL && log_console_gone(logs->console);
}

// The services are gone and wait for nobody: what is left is the reader's, who may be a pager, unless a
// signal says otherwise.
static void drain_console(struct logs *logs, int signals) {
  for (;;) {
    struct pollfd polled[] = {{.fd = logs->events, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    log_console_flush(logs->console);
    watch_console(logs);
    if (!log_console_waiting(logs->console, LOG_OUT) && !log_console_waiting(logs->console, LOG_ERR))
      return;
    if (RETRY(poll(polled, 2, -1)) < 0 || polled[1].revents != 0)
      return;
  }
}

void logs_finish(struct logs *logs, int signals) {
  for (struct stream *stream = logs->streams; stream != NULL;) {
    struct stream *next = stream->next;
    // A pipe that something outside of the container still holds open must not keep the instance from ending.
    while (stream->fd >= 0 && read_stream(logs, stream))
      if (logs->console != NULL)
        log_console_flush(logs->console);
    stream = next;
  }
  while (logs->streams != NULL)
    end_stream(logs, logs->streams);
  if (logs->console != NULL)
    drain_console(logs, signals);
  for (struct service *service = logs->services; service != NULL;) {
    struct service *next = service->next;
    log_file_close(&logs->store, &service->file);
    free(service);
    service = next;
  }
  log_forward_close(&logs->forward);
  log_console_close(logs->console);
  close_fd(&logs->store.directory);
  close(logs->inputs);
  close(logs->events);
  free(logs);
}
