#include "exec-front.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "signals.h"
#include "util.h"

#define INPUT_SIZE 4096

struct front {
  struct detach_keys keys;
  const struct terminal *terminal;
  pid_t holder;
  int stream;  // bytes of the terminal
  int control; // words, closed by the holder when it needs nobody
  int signals;
  bool raw;
  bool input;
};

static void restore(struct front *front) {
  if (front->raw)
    tcsetattr(STDIN_FILENO, TCSADRAIN, &front->terminal->modes);
  front->raw = false;
}

static void make_raw(struct front *front) {
  struct termios raw = front->terminal->modes;
  if (!front->terminal->on_host)
    return;
  signal(SIGTTOU, SIG_IGN);
  cfmakeraw(&raw);
  front->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void tell(const struct front *front, struct front_word word) {
  (void)RETRY(send(front->control, &word, sizeof word, MSG_NOSIGNAL));
}

static void tell_size(const struct front *front) {
  struct winsize size;
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
    tell(front, (struct front_word){.kind = FRONT_SIZE, .rows = size.ws_row, .columns = size.ws_col});
}

_Noreturn static void detach(struct front *front) {
  char byte;
  tell(front, (struct front_word){.kind = FRONT_DETACH});
  (void)RETRY(recv(front->control, &byte, 1, 0)); // its end: the other one is on its own
  restore(front);
  _exit(0);
}

static void take_input(struct front *front) {
  char typed[INPUT_SIZE];
  char out[INPUT_SIZE + DETACH_KEYS_MAX];
  size_t used;
  ssize_t count = RETRY(read(STDIN_FILENO, typed, sizeof typed));
  if (count <= 0) {
    front->input = false;
    shutdown(front->stream, SHUT_WR);
    return;
  }
  bool leave = detach_keys_filter(&front->keys, typed, (size_t)count, out, &used);
  (void)write_all(front->stream, out, used);
  if (leave)
    detach(front);
}

_Noreturn static void leave(struct front *front) {
  int status;
  restore(front);
  if (RETRY(waitpid(front->holder, &status, 0)) < 0)
    _exit(STATUS_FAILED);
  _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static void take_output(struct front *front) {
  char bytes[INPUT_SIZE];
  ssize_t count = RETRY(read(front->stream, bytes, sizeof bytes));
  if (count <= 0)
    leave(front);
  (void)write_all(STDOUT_FILENO, bytes, (size_t)count);
}

static void take_signal(struct front *front) {
  int sig = signals_read(front->signals);
  if (sig == SIGWINCH) {
    tell_size(front);
  } else if (sig == SIGTSTP) {
    restore(front);
    kill(getpid(), SIGSTOP);
    make_raw(front);
    tell_size(front);
  } else if (sig != 0 && sig != SIGCONT) {
    tell(front, (struct front_word){.kind = FRONT_SIGNAL, .number = sig});
  }
}

_Noreturn static void pass_on(struct front *front) {
  make_raw(front);
  for (;;) {
    struct pollfd polled[] = {{.fd = front->stream, .events = POLLIN},
                              {.fd = front->signals, .events = POLLIN},
                              {.fd = front->input ? STDIN_FILENO : -1, .events = POLLIN}};
    if (RETRY(poll(polled, 3, -1)) < 0)
      die_errno("cannot wait for the command");
    if (polled[1].revents != 0)
      take_signal(front);
    if (polled[2].revents != 0)
      take_input(front);
    if (polled[0].revents != 0)
      take_output(front);
  }
}

int front_split(const struct detach_keys *keys, const struct terminal *terminal, int signals) {
  int stream[2];
  int control[2];
  pid_t caller = getpid();
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) != 0 ||
      socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0)
    die_errno("cannot start: socketpair");
  pid_t holder = fork();
  if (holder < 0)
    die_errno("cannot start: fork");
  if (holder > 0) {
    close(stream[1]);
    close(control[1]);
    struct front front = {.keys = *keys,
                          .terminal = terminal,
                          .holder = holder,
                          .stream = stream[0],
                          .control = control[0],
                          .signals = signals,
                          .input = true};
    pass_on(&front);
  }
  close(stream[0]);
  close(control[0]);
  if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0, 0, 0) != 0 || getppid() != caller)
    _exit(STATUS_FAILED);
  // Of the caller's session it would get the terminal's signals a second time.
  if (setsid() < 0 || dup2(stream[1], STDIN_FILENO) < 0 || dup2(stream[1], STDOUT_FILENO) < 0)
    die_errno("cannot start");
  close(stream[1]);
  return control[1];
}

struct front_word front_read(int fd) {
  struct front_word word;
  if (RETRY(recv(fd, &word, sizeof word, MSG_DONTWAIT)) != sizeof word)
    return (struct front_word){.kind = FRONT_NONE};
  return word;
}

void front_detached(int fd) {
  CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int stream = 0; stream <= 2; stream++)
    if (null < 0 || dup2(null, stream) < 0)
      die_errno("cannot detach: /dev/null");
  if (prctl(PR_SET_PDEATHSIG, 0ul, 0, 0, 0) != 0)
    die_errno("cannot detach");
  close(fd);
}
