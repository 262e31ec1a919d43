#include "log-console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "util.h"

#define STAGE (32 << 10)  // what is written at once
#define WAITING (1 << 20) // what waits for a reader that is slow
#define NOTICE 128

struct out {
  int fd;
  bool socket;
  bool plain; // a shared description, which must not be made non-blocking: ask before each write
  bool colour;
  bool gone;
  char stage[STAGE];
  size_t staged;
  char *waiting; // mapped when first needed
  size_t start;
  size_t end;
  uint64_t dropped;
};

struct log_console {
  bool prefix;
  bool blocking;
  bool shared; // both channels are the same file: one queue keeps their order
  struct out outs[2];
};

// The description is shared with whoever started us: O_NONBLOCK on it would surprise them. A terminal or a
// pipe can be opened again; a regular file never blocks, and must keep its position.
static void open_out(struct out *out, int fd) {
  struct stat status;
  char path[32];
  out->fd = fd;
  out->colour = isatty(fd) == 1;
  if (fstat(fd, &status) != 0 || S_ISREG(status.st_mode))
    return;
  out->socket = S_ISSOCK(status.st_mode);
  if (out->socket)
    return;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (again >= 0)
    out->fd = again;
  else
    out->plain = true;
}

static bool same_file(void) {
  struct stat out;
  struct stat error;
  return fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &error) == 0 && out.st_dev == error.st_dev &&
         out.st_ino == error.st_ino;
}

struct log_console *log_console_open(bool prefix, bool blocking) {
  struct log_console *console = calloc(1, sizeof *console);
  if (console == NULL)
    die_errno("cannot show the output of the services");
  console->prefix = prefix;
  console->blocking = blocking;
  console->shared = same_file();
  open_out(&console->outs[LOG_OUT], STDOUT_FILENO);
  open_out(&console->outs[LOG_ERR], STDERR_FILENO);
  return console;
}

static struct out *out_of(struct log_console *console, enum log_channel channel) {
  return &console->outs[console->shared ? LOG_OUT : channel];
}

// What was taken, 0 if it would have to wait, -1 if nobody reads any more.
static ssize_t try_write(const struct out *out, const char *bytes, size_t size) {
  if (out->plain) {
    struct pollfd polled = {.fd = out->fd, .events = POLLOUT};
    if (poll(&polled, 1, 0) <= 0 || (polled.revents & POLLOUT) == 0)
      return (polled.revents & (POLLERR | POLLHUP)) != 0 ? -1 : 0;
    size = size > 512 ? 512 : size;
  }
  ssize_t count = out->socket ? RETRY(send(out->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL))
                              : RETRY(write(out->fd, bytes, size));
  if (count < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
  return count;
}

static void drop_all(struct out *out) {
  out->gone = true;
  out->start = out->end = out->staged = 0;
}

// False when the reader is gone: what it does not take is dropped, as by a shell's pipeline.
static bool drain(struct out *out) {
  while (out->start < out->end) {
    ssize_t count = try_write(out, out->waiting + out->start, out->end - out->start);
    if (count < 0)
      drop_all(out);
    if (count <= 0)
      return !out->gone;
    out->start += (size_t)count;
  }
  if (out->end > 0) { // caught up: give the memory back
    munmap(out->waiting, WAITING);
    out->waiting = NULL;
    out->start = out->end = 0;
  }
  return true;
}

static bool wait_with(struct out *out, const char *bytes, size_t size) {
  if (out->waiting == NULL) {
    char *mapped = mmap(NULL, WAITING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
      return false;
    out->waiting = mapped;
  }
  if (out->end + size > WAITING && out->start > 0) {
    memmove(out->waiting, out->waiting + out->start, out->end - out->start);
    out->end -= out->start;
    out->start = 0;
  }
  if (out->end + size > WAITING)
    return false;
  memcpy(out->waiting + out->end, bytes, size);
  out->end += size;
  return true;
}

static void count_dropped(struct out *out) {
  const char *end = out->stage + out->staged;
  for (const char *at = out->stage; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
    out->dropped++;
}

static void say_dropped(struct out *out) {
  char text[NOTICE];
  int size = snprintf(text, sizeof text, "[trees] %llu lines not shown: the reader was too slow\n",
                      (unsigned long long)out->dropped);
  if (wait_with(out, text, (size_t)size))
    out->dropped = 0;
}

static void flush(struct out *out) {
  size_t written = 0;
  if (out->gone || !drain(out)) {
    out->staged = 0;
    return;
  }
  if (out->end == 0 && out->dropped > 0)
    say_dropped(out);
  while (out->end == 0 && written < out->staged) {
    ssize_t count = try_write(out, out->stage + written, out->staged - written);
    if (count < 0) {
      drop_all(out);
      return;
    }
    if (count == 0)
      break;
    written += (size_t)count;
  }
  // The stage holds whole lines. All of what is left waits or, where the queue is not new, nothing: no line
  // is torn.
  if (written < out->staged && !wait_with(out, out->stage + written, out->staged - written))
    count_dropped(out);
  out->staged = 0;
}

void log_console_flush(struct log_console *console) {
  flush(&console->outs[LOG_OUT]);
  flush(&console->outs[LOG_ERR]);
}

static void put(struct out *out, const char *bytes, size_t size) {
  memcpy(out->stage + out->staged, bytes, size);
  out->staged += size;
}

static size_t label(char text[LOG_NAME + 32], const struct log_line *line, bool colour) {
  static const char *const palette[] = {"32", "33", "34", "35", "36", "92", "93", "94", "95", "96"};
  unsigned hash = 5381;
  for (const char *at = line->service; *at != '\0'; at++)
    hash = hash * 33 + (unsigned char)*at;
  const char *what = line->channel == LOG_ERR ? "ERR" : "OUT";
  if (!colour)
    return (size_t)snprintf(text, LOG_NAME + 32, "[%s %s] ", line->service, what);
  return (size_t)snprintf(text, LOG_NAME + 32, "\033[%sm[%s %s]\033[0m ",
                          palette[hash % (sizeof palette / sizeof *palette)], line->service, what);
}

void log_console_line(struct log_console *console, const struct log_line *line) {
  char text[LOG_NAME + 32];
  struct out *out = out_of(console, line->channel);
  size_t size = label(text, line, out->colour);
  if (out->staged + size + line->size + 1 > sizeof out->stage)
    flush(out);
  put(out, text, size);
  put(out, line->bytes, line->size);
  put(out, "\n", 1);
}

void log_console_raw(struct log_console *console, enum log_channel channel, const char *bytes, size_t size) {
  struct out *out = out_of(console, channel);
  while (size > 0) {
    size_t part = size < sizeof out->stage - out->staged ? size : sizeof out->stage - out->staged;
    put(out, bytes, part);
    bytes += part;
    size -= part;
    if (size > 0)
      flush(out);
  }
}

void log_console_close(struct log_console *console) {
  if (console == NULL)
    return;
  for (int i = 0; i < 2; i++) {
    if (console->outs[i].waiting != NULL)
      munmap(console->outs[i].waiting, WAITING);
    if (console->outs[i].fd > STDERR_FILENO)
      close(console->outs[i].fd);
  }
  free(console);
}

bool log_console_gone(const struct log_console *console) {
  return console->outs[LOG_OUT].gone;
}

bool log_console_prefixed(const struct log_console *console) {
  return console->prefix;
}

bool log_console_full(const struct log_console *console) {
  return console->blocking &&
         (console->outs[LOG_OUT].end > WAITING / 2 || console->outs[LOG_ERR].end > WAITING / 2);
}

bool log_console_waiting(const struct log_console *console, enum log_channel channel) {
  return console->outs[channel].end > 0;
}

int log_console_descriptor(const struct log_console *console, enum log_channel channel) {
  return console->outs[channel].fd;
}
