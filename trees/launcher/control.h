// The control socket of an instance: whoever may, asks here. One request a connection (request.h); the answer
// is lines of `key=value …`, then `ok` or `error MESSAGE`. Everything is bounded and nothing waits for a
// client.
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"

#define CONTROL_CLIENTS 64
#define CONTROL_POLLED (1 + CONTROL_CLIENTS)
#define CONTROL_NEVER INT64_MAX
#define CONTROL_FULL (32u << 10)

// What a client waits for.
enum client_kind {
  CLIENT_NONE,
  CLIENT_ASKING,   // sends its request
  CLIENT_END,      // stop, wait: for the end of the instance
  CLIENT_START,    // restart: for the next start
  CLIENT_SERVICE,  // for the init's answer
  CLIENT_ATTACHED, // takes output, gives input
  CLIENT_LEAVING   // takes the rest of its answer
};

struct client {
  enum client_kind kind;
  int fd;
  uint32_t number;  // of the request; never used again
  int64_t deadline; // clock_ms() at which a silent one is dropped
  char *in;         // REQUEST_MAX bytes: the request, then input
  size_t in_used;
  char *out; // what it has not taken yet
  size_t out_start;
  size_t out_end;
  size_t out_room;
  // Attached ones:
  bool takes_output;
  bool gives_input;
  bool raw;           // a terminal's bytes, no frames
  int64_t full_since; // clock_ms() since when CONTROL_FULL bytes wait for it; 0: they do not
  uint64_t lost;      // bytes it did not take in time, not told yet
  uint32_t frame_left;
  bool frame_input;
  size_t head_used;
  unsigned char head[8];
};

// Answers a request by control_line(), and control_end() at once or later.
typedef void control_handler(void *context, struct client *client, const struct request *request);

struct control {
  int listener; // -1: none
  uint32_t numbers;
  control_handler *handler;
  void *context;
  struct client clients[CONTROL_CLIENTS];
};

// Listens at `control` in the directory. Ends the process with 125 on failure.
void control_open(struct control *control, int dir);

// `input`: there is room for what attached clients send.
void control_poll(const struct control *control, struct pollfd polled[CONTROL_POLLED], bool input);
void control_act(struct control *control, const struct pollfd polled[CONTROL_POLLED]);

// The time at which control_act() has something to do without being woken.
int64_t control_deadline(const struct control *control);

// Appends a line to the answer. What has no room is left out.
__attribute__((format(printf, 2, 3))) void control_line(struct client *client, const char *format, ...);

// Ends the answer: `ok`, or `error` with a message.
void control_end(struct client *client, const char *error);

// Appends bytes to what the client is to take; false, and nothing is appended, when there is no room.
bool control_append(struct client *client, const void *bytes, size_t size);

// Sends what it takes now. A client that is gone is dropped.
void control_flush(struct client *client);

struct client *control_find(struct control *control, uint32_t number);

void control_drop(struct client *client);

// The instance is gone: gives clients a moment to take what is left, and closes everything.
void control_finish(struct control *control);
