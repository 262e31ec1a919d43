// Carries bytes between the host's standard streams and the container's terminal.
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

struct relay {
  const struct terminal *terminal;
  int master; // -1 until the container has opened it, and after the end
  bool raw;
  bool input_open;
  struct relay_buffer in;  // host to container
  struct relay_buffer out; // container to host
};

#define RELAY_POLLED 4

void relay_start(struct relay *relay, const struct terminal *terminal);

// What to wait for: fills RELAY_POLLED entries, unused ones with fd -1.
void relay_poll(const struct relay *relay, struct pollfd polled[RELAY_POLLED]);

void relay_act(struct relay *relay, const struct pollfd polled[RELAY_POLLED]);

// The host's window has another size.
void relay_resize(struct relay *relay);

// Puts the host's terminal back, and takes it again.
void relay_suspend(struct relay *relay);
void relay_resume(struct relay *relay);

// After the container has ended: writes what is left and puts the terminal back.
void relay_finish(struct relay *relay);
