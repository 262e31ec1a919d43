// Carries bytes between the container's terminal and the host's standard streams, where the launcher has
// them, and whoever else is interested.
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "terminal.h"

struct relay_buffer {
  char bytes[4096];
  size_t start;
  size_t end;
};

typedef void relay_output(void *context, const char *bytes, size_t size);

struct relay_setup {
  const struct terminal *terminal;
  bool console;         // the launcher's standard streams take part
  relay_output *output; // gets what the container writes
  void *context;
};

struct relay {
  const struct terminal *terminal;
  bool console;
  relay_output *output;
  void *context;
  int master; // -1 until the container has opened it, and after the end
  int slave;  // -1, or kept open for whoever opens the terminal again
  bool raw;
  bool input_open;
  bool gone;               // nobody takes standard output any more
  struct relay_buffer in;  // host to container
  struct relay_buffer out; // container to host
  struct winsize size;     // asked for before there was a master; no rows: not asked
};

#define RELAY_POLLED 4

void relay_start(struct relay *relay, const struct relay_setup *setup);

// What to wait for: fills RELAY_POLLED entries, unused ones with fd -1. `hold`: take no output now.
void relay_poll(const struct relay *relay, struct pollfd polled[RELAY_POLLED], bool hold);

void relay_act(struct relay *relay, const struct pollfd polled[RELAY_POLLED]);

// The host's window has another size.
void relay_resize(struct relay *relay);
void relay_set_size(struct relay *relay, unsigned rows, unsigned columns);

// Room for input from elsewhere, bytes; and that input.
size_t relay_room(const struct relay *relay);
void relay_type(struct relay *relay, const char *bytes, size_t size);

// Puts the host's terminal back, and takes it again.
void relay_suspend(struct relay *relay);
void relay_resume(struct relay *relay);

// After the container has ended: writes what is left and puts the terminal back.
void relay_finish(struct relay *relay);
