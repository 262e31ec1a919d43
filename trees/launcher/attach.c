#include "attach.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "control-client.h"
#include "detach-keys.h"
#include "signals.h"
#include "syscalls.h"
#include "util.h"

#define HEAD 8
#define INPUT_SIZE 4096
#define OUTPUT_SIZE 16384

enum { POLL_SERVER, POLL_SIGNALS, POLL_INPUT, POLL_COUNT };

struct attachment {
  const char *run_dir;
  int dir;
  int server;
  int waiter; // tells the exit status in the end
  int signals;
  bool input;  // wanted, and not at its end
  bool replay; // begin with the last lines from before
  bool proxy;  // signals are passed on
  bool tty;    // the instance has a terminal
  bool raw;    // ours is in raw mode
  struct termios modes;
  struct detach_keys keys;
  size_t head_used; // of a frame
  unsigned char head[HEAD];
  uint32_t frame_left;
};

static const char *value_of(const char *word, const char *name) {
  size_t length = strlen(name);
  return strncmp(word, name, length) == 0 ? word + length : NULL;
}

static void parse(struct attachment *attachment, int argc, char **argv) {
  const char *keys = DETACH_KEYS_DEFAULT;
  for (int i = 2; i < argc; i++) {
    const char *value = value_of(argv[i], "--detach-keys=");
    if (value != NULL)
      keys = value;
    else if (strcmp(argv[i], "--no-stdin") == 0)
      attachment->input = false;
    else if (strcmp(argv[i], "--no-replay") == 0)
      attachment->replay = false;
    else if (strcmp(argv[i], "--sig-proxy=false") == 0)
      attachment->proxy = false;
    else if (strncmp(argv[i], "--", 2) != 0 && attachment->run_dir == NULL)
      attachment->run_dir = argv[i];
    else
      die("wrong usage: unknown option %s", argv[i]);
  }
  if (attachment->run_dir == NULL)
    die("wrong usage: expected the directory of an instance: trees-launch --attach RUNDIR");
  if (!detach_keys_parse(keys, &attachment->keys))
    die("wrong usage: expected --detach-keys to be characters and ctrl-X, separated by commas, got \"%s\"",
        keys);
}

static int connect_to(const struct attachment *attachment, const char *request) {
  int fd = control_connect(attachment->dir);
  if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED))
    die("cannot attach: the instance in %s is not running", attachment->run_dir);
  if (fd < 0 || RETRY(send(fd, request, strlen(request), MSG_NOSIGNAL)) < 0)
    die_errno("cannot attach to the instance in %s", attachment->run_dir);
  return fd;
}

// One line, byte by byte: what follows the last one is output already.
static void read_line(const struct attachment *attachment, char *line, size_t room) {
  for (size_t used = 0; used < room - 1; used++) {
    if (RETRY(read(attachment->server, line + used, 1)) != 1)
      die("cannot attach to the instance in %s: it has ended", attachment->run_dir);
    if (line[used] == '\n') {
      line[used] = '\0';
      return;
    }
  }
  die("cannot attach to the instance in %s: it does not answer sensibly", attachment->run_dir);
}

static void begin(struct attachment *attachment) {
  char line[256];
  attachment->dir = open(attachment->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (attachment->dir < 0)
    die_errno("cannot attach to the instance in %s", attachment->run_dir);
  // First: whatever happens from here on, its answer tells how the instance ended.
  attachment->waiter = connect_to(attachment, "wait\n");
  snprintf(line, sizeof line, "attach stdin=%d stdout=1 replay=%d\n", attachment->input, attachment->replay);
  attachment->server = connect_to(attachment, line);
  for (;;) {
    read_line(attachment, line, sizeof line);
    if (strcmp(line, "ok") == 0)
      return;
    if (strncmp(line, "error ", 6) == 0)
      die("cannot attach to the instance in %s: %s", attachment->run_dir, line + 6);
    if (strstr(line, "tty=1") != NULL)
      attachment->tty = true;
    if (strstr(line, "stdin=0") != NULL)
      attachment->input = false;
  }
}

static void restore(struct attachment *attachment) {
  if (attachment->raw)
    tcsetattr(STDIN_FILENO, TCSADRAIN, &attachment->modes);
  attachment->raw = false;
}

static void make_raw(struct attachment *attachment) {
  if (!attachment->tty || !attachment->input || tcgetattr(STDIN_FILENO, &attachment->modes) != 0)
    return;
  // Setting modes from the background would stop us.
  signal(SIGTTOU, SIG_IGN);
  struct termios raw = attachment->modes;
  cfmakeraw(&raw);
  attachment->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void resize(const struct attachment *attachment, unsigned more_rows) {
  struct winsize size;
  char request[64];
  char answer[128];
  if (!attachment->raw || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0)
    return;
  snprintf(request, sizeof request, "resize rows=%u cols=%u\n", size.ws_row + more_rows, size.ws_col);
  (void)control_ask(attachment->dir, request, answer, sizeof answer);
}

// The terminal may have had this size all along: only a change makes programs paint again.
static void first_resize(const struct attachment *attachment) {
  resize(attachment, 1);
  resize(attachment, 0);
}

_Noreturn static void leave(struct attachment *attachment) {
  char answer[256];
  size_t used = 0;
  ssize_t count;
  restore(attachment);
  while (used < sizeof answer - 1 &&
         (count = RETRY(read(attachment->waiter, answer + used, sizeof answer - 1 - used))) > 0)
    used += (size_t)count;
  answer[used] = '\0';
  const char *status = strstr(answer, "exit=");
  if (status == NULL)
    die("the monitor of the instance in %s has gone, and the instance with it", attachment->run_dir);
  exit(atoi(status + 5));
}

static void send_all(const struct attachment *attachment, const void *bytes, size_t size) {
  const char *at = bytes;
  while (size > 0) {
    ssize_t count = RETRY(send(attachment->server, at, size, MSG_NOSIGNAL));
    if (count < 0)
      return; // its end will be read
    at += count;
    size -= (size_t)count;
  }
}

static void send_input(const struct attachment *attachment, const char *bytes, size_t size) {
  unsigned char head[HEAD] = {[4] = (unsigned char)(size >> 24),
                              (unsigned char)(size >> 16),
                              (unsigned char)(size >> 8),
                              (unsigned char)size};
  if (size == 0)
    return;
  if (!attachment->tty)
    send_all(attachment, head, sizeof head);
  send_all(attachment, bytes, size);
}

static void take_input(struct attachment *attachment) {
  char typed[INPUT_SIZE];
  char out[INPUT_SIZE + DETACH_KEYS_MAX];
  size_t used;
  ssize_t count = RETRY(read(STDIN_FILENO, typed, sizeof typed));
  if (count <= 0) {
    attachment->input = false;
    shutdown(attachment->server, SHUT_WR);
    return;
  }
  if (!attachment->raw) {
    send_input(attachment, typed, (size_t)count);
    return;
  }
  bool detach = detach_keys_filter(&attachment->keys, typed, (size_t)count, out, &used);
  send_input(attachment, out, used);
  if (!detach)
    return;
  restore(attachment);
  exit(0);
}

static void write_frames(struct attachment *attachment, const unsigned char *bytes, size_t size) {
  while (size > 0) {
    if (attachment->frame_left == 0) {
      attachment->head[attachment->head_used++] = *bytes++;
      size--;
      if (attachment->head_used < HEAD)
        continue;
      const unsigned char *head = attachment->head;
      attachment->frame_left =
          (uint32_t)head[4] << 24 | (uint32_t)head[5] << 16 | (uint32_t)head[6] << 8 | head[7];
      attachment->head_used = 0;
      continue;
    }
    size_t count = size < attachment->frame_left ? size : attachment->frame_left;
    write_all(attachment->head[0] == 2 ? STDERR_FILENO : STDOUT_FILENO, bytes, count);
    attachment->frame_left -= (uint32_t)count;
    bytes += count;
    size -= count;
  }
}

static void take_output(struct attachment *attachment) {
  static unsigned char bytes[OUTPUT_SIZE];
  ssize_t count = RETRY(read(attachment->server, bytes, sizeof bytes));
  if (count <= 0)
    leave(attachment);
  if (attachment->tty)
    write_all(STDOUT_FILENO, bytes, (size_t)count);
  else
    write_frames(attachment, bytes, (size_t)count);
}

static void suspend(struct attachment *attachment) {
  restore(attachment);
  kill(getpid(), SIGSTOP);
  make_raw(attachment);
}

static void take_signal(struct attachment *attachment) {
  char request[64];
  char answer[128];
  int sig = signals_read(attachment->signals);
  if (sig == SIGWINCH) {
    resize(attachment, 0);
  } else if (sig == SIGTSTP) {
    suspend(attachment);
  } else if (sig == SIGCONT) {
    make_raw(attachment);
    resize(attachment, 0);
  } else if (sig != 0 && attachment->proxy) {
    snprintf(request, sizeof request, "kill signal=%d\n", sig);
    (void)control_ask(attachment->dir, request, answer, sizeof answer);
  } else if (signals_is_end(sig)) {
    restore(attachment);
    exit(128 + sig);
  }
}

int attach_main(int argc, char **argv) {
  static struct attachment attachment = {.input = true, .replay = true, .proxy = true};
  parse(&attachment, argc, argv);
  attachment.signals = signals_block();
  begin(&attachment);
  make_raw(&attachment);
  first_resize(&attachment);
  for (;;) {
    struct pollfd polled[POLL_COUNT] = {
        [POLL_SERVER] = {.fd = attachment.server, .events = POLLIN},
        [POLL_SIGNALS] = {.fd = attachment.signals, .events = POLLIN},
        [POLL_INPUT] = {.fd = attachment.input ? STDIN_FILENO : -1, .events = POLLIN}};
    if (RETRY(poll(polled, POLL_COUNT, -1)) < 0)
      die_errno("cannot wait for the instance");
    if (polled[POLL_SIGNALS].revents != 0)
      take_signal(&attachment);
    if (polled[POLL_INPUT].revents != 0)
      take_input(&attachment);
    if (polled[POLL_SERVER].revents != 0)
      take_output(&attachment);
  }
}
