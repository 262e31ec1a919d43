// The last output of the instance, kept for whoever attaches next.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKLOG_SIZE (16u << 10)

// A ring of pieces: two bytes of length, one of channel, then the bytes.
struct backlog {
  bool cut; // something older is gone: it begins in the middle of a line
  size_t start;
  size_t used;
  unsigned char bytes[BACKLOG_SIZE];
};

typedef void backlog_piece(void *context, unsigned channel, const char *bytes, size_t size);

void backlog_add(struct backlog *backlog, unsigned channel, const char *bytes, size_t size);

// Hands out all that is kept, oldest first, from the beginning of a line.
void backlog_replay(const struct backlog *backlog, backlog_piece *piece, void *context);
