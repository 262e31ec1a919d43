// Clients that take part in the instance's input and output.
#pragma once
#include "backlog.h"
#include "control.h"

struct attach_request {
  bool output;
  bool input;
  bool raw;
  const struct backlog *backlog; // what to begin with; NULL: nothing
};

// Makes a client that has just asked one of them.
void attached_begin(struct client *client, const struct attach_request *request);

// To all of them. One that has no room loses it, and is told how much once it takes something again.
void attached_output(struct control *control, unsigned channel, const char *bytes, size_t size);

// What they have sent, up to `room` bytes.
size_t attached_input(struct control *control, char *bytes, size_t room);

// Whether output had better wait for one of them: for a moment, until clock_ms() is `until`. Whoever has not
// caught up by then loses what comes.
bool attached_stalled(const struct control *control, int64_t *until);

// Tells those who have caught up what they have lost.
void attached_catch_up(struct control *control);

// The instance is gone, and with it what they take part in.
void attached_end(struct control *control);
