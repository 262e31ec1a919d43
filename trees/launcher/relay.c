#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

enum { POLL_CHANNEL, POLL_INPUT, POLL_MASTER, POLL_OUTPUT };

#define END_OF_INPUT '\004'

static bool empty(const struct relay_buffer *buffer) {
  return buffer->start == buffer->end;
}

// False at the end of the source.
static bool fill(struct relay_buffer *buffer, int fd) {
  ssize_t count = RETRY(read(fd, buffer->bytes, sizeof buffer->bytes));
  buffer->start = 0;
  buffer->end = count > 0 ? (size_t)count : 0;
  return count > 0 || (count < 0 && errno == EAGAIN);
}

// What nobody takes any more is dropped: false then.
static bool drain(struct relay_buffer *buffer, int fd) {
  ssize_t count = RETRY(write(fd, buffer->bytes + buffer->start, buffer->end - buffer->start));
  if (count > 0)
    buffer->start += (size_t)count;
  else if (count < 0 && errno != EAGAIN)
    buffer->start = buffer->end;
  return count >= 0 || errno == EAGAIN;
}

// In the background the terminal belongs to somebody else.
static bool in_foreground(void) {
  return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

void relay_resume(struct relay *relay) {
  if (!relay->terminal->wanted || !relay->console || !relay->terminal->on_host || !in_foreground())
    return;
  struct termios raw = relay->terminal->modes;
  cfmakeraw(&raw);
  relay->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void relay_suspend(struct relay *relay) {
  if (!relay->raw)
    return;
  relay->raw = false;
  tcsetattr(STDIN_FILENO, TCSADRAIN, &relay->terminal->modes);
}

void relay_start(struct relay *relay, const struct relay_setup *setup) {
  *relay = (struct relay){.terminal = setup->terminal,
                          .console = setup->console,
                          .output = setup->output,
                          .context = setup->context,
                          .master = -1,
                          .slave = -1,
                          .input_open = setup->console};
  if (!setup->terminal->wanted)
    return;
  // Setting modes from the background would stop the launcher.
  signal(SIGTTOU, SIG_IGN);
  close(setup->terminal->container_end);
}

void relay_poll(const struct relay *relay, struct pollfd polled[RELAY_POLLED], bool hold) {
  for (int i = 0; i < RELAY_POLLED; i++)
    polled[i] = (struct pollfd){.fd = -1};
  if (!relay->terminal->wanted)
    return;
  if (relay->master < 0) {
    polled[POLL_CHANNEL] = (struct pollfd){.fd = relay->terminal->launcher_end, .events = POLLIN};
    return;
  }
  short master = (short)((empty(&relay->out) && !hold ? POLLIN : 0) | (empty(&relay->in) ? 0 : POLLOUT));
  // With nothing to ask for, a hang-up would still be reported, again and again.
  polled[POLL_MASTER] = (struct pollfd){.fd = master != 0 ? relay->master : -1, .events = master};
  if (relay->input_open && empty(&relay->in))
    polled[POLL_INPUT] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
  if (!empty(&relay->out))
    polled[POLL_OUTPUT] = (struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT};
}

static void open_master(struct relay *relay) {
  relay->master = terminal_receive(relay->terminal, &relay->slave);
  if (relay->master < 0)
    return;
  fcntl(relay->master, F_SETFL, O_NONBLOCK);
  if (relay->size.ws_row > 0)
    ioctl(relay->master, TIOCSWINSZ, &relay->size);
  // Only now: until here the launcher's own messages need the terminal's normal modes.
  relay_resume(relay);
}

static void read_input(struct relay *relay) {
  if (fill(&relay->in, STDIN_FILENO))
    return;
  relay->input_open = false;
  relay->in = (struct relay_buffer){.bytes = {END_OF_INPUT}, .end = 1};
}

// Hands on what has just been read. False at the end.
static bool read_output(struct relay *relay) {
  if (!fill(&relay->out, relay->master))
    return false;
  if (!empty(&relay->out) && relay->output != NULL)
    relay->output(relay->context, relay->out.bytes, relay->out.end);
  if (!relay->console)
    relay->out.start = relay->out.end;
  return true;
}

void relay_act(struct relay *relay, const struct pollfd polled[RELAY_POLLED]) {
  if (polled[POLL_CHANNEL].revents != 0)
    open_master(relay);
  if (polled[POLL_INPUT].revents != 0)
    read_input(relay);
  if (!empty(&relay->in) && (polled[POLL_MASTER].revents & POLLOUT) != 0)
    (void)drain(&relay->in, relay->master);
  if (!empty(&relay->out) && polled[POLL_OUTPUT].revents != 0 && !drain(&relay->out, STDOUT_FILENO))
    relay->gone = true;
  // EIO: nobody has the other end open. Somebody may again, but the container's init keeps it open while it
  // lives.
  if (empty(&relay->out) && (polled[POLL_MASTER].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
      !read_output(relay)) {
    close(relay->master);
    relay->master = -1;
    relay->in = (struct relay_buffer){.end = 0};
    relay->input_open = false;
  }
}

void relay_resize(struct relay *relay) {
  struct winsize size;
  if (relay->master >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
    ioctl(relay->master, TIOCSWINSZ, &size);
}

void relay_set_size(struct relay *relay, unsigned rows, unsigned columns) {
  relay->size = (struct winsize){.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
  if (relay->master >= 0)
    ioctl(relay->master, TIOCSWINSZ, &relay->size);
}

size_t relay_room(const struct relay *relay) {
  return relay->master >= 0 && empty(&relay->in) ? sizeof relay->in.bytes : 0;
}

void relay_type(struct relay *relay, const char *bytes, size_t size) {
  memcpy(relay->in.bytes, bytes, size);
  relay->in.start = 0;
  relay->in.end = size;
}

void relay_finish(struct relay *relay) {
  if (!relay->terminal->wanted)
    return;
  if (relay->master < 0)
    relay->master = terminal_receive(relay->terminal, &relay->slave);
  // Every process is gone, so this ends: with EIO, or when the last byte is read.
  close_fd(&relay->slave);
  relay->slave = -1;
  while (relay->master >= 0) {
    if (!empty(&relay->out))
      write_all(STDOUT_FILENO, relay->out.bytes + relay->out.start, relay->out.end - relay->out.start);
    relay->out.start = relay->out.end = 0;
    if (!read_output(relay) || relay->out.end == 0)
      break;
  }
  relay_suspend(relay);
}
