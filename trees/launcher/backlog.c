#include "backlog.h"

#include <string.h>

#define HEAD 3u
#define PIECE 512u // short, so that little is lost with the oldest one
// Of bytes that come at once, with their heads.
#define ROOM (BACKLOG_SIZE - (BACKLOG_SIZE / PIECE + 1) * HEAD)

static unsigned char *at(struct backlog *backlog, size_t offset) {
  return &backlog->bytes[(backlog->start + offset) % BACKLOG_SIZE];
}

static unsigned char get(const struct backlog *backlog, size_t offset) {
  return backlog->bytes[(backlog->start + offset) % BACKLOG_SIZE];
}

static size_t piece_size(const struct backlog *backlog, size_t offset) {
  return (size_t)get(backlog, offset) << 8 | get(backlog, offset + 1);
}

static void drop_oldest(struct backlog *backlog) {
  size_t size = HEAD + piece_size(backlog, 0);
  backlog->start = (backlog->start + size) % BACKLOG_SIZE;
  backlog->used -= size;
  backlog->cut = true;
}

static void add_piece(struct backlog *backlog, unsigned channel, const char *bytes, size_t size) {
  while (BACKLOG_SIZE - backlog->used < HEAD + size)
    drop_oldest(backlog);
  *at(backlog, backlog->used) = (unsigned char)(size >> 8);
  *at(backlog, backlog->used + 1) = (unsigned char)size;
  *at(backlog, backlog->used + 2) = (unsigned char)channel;
  unsigned char *to = at(backlog, backlog->used + HEAD);
  size_t room = (size_t)(backlog->bytes + BACKLOG_SIZE - to);
  size_t first = size < room ? size : room;
  memcpy(to, bytes, first);
  memcpy(backlog->bytes, bytes + first, size - first);
  backlog->used += HEAD + size;
}

void backlog_add(struct backlog *backlog, unsigned channel, const char *bytes, size_t size) {
  if (size > ROOM) { // the end is what counts, and nothing older would join it
    bytes += size - ROOM;
    size = ROOM;
    backlog->used = 0;
    backlog->cut = true;
  }
  for (; size > 0;) {
    size_t count = size < PIECE ? size : PIECE;
    add_piece(backlog, channel, bytes, count);
    bytes += count;
    size -= count;
  }
}

void backlog_replay(const struct backlog *backlog, backlog_piece *piece, void *context) {
  char bytes[PIECE];
  bool skipping = backlog->cut;
  for (size_t offset = 0; offset < backlog->used;) {
    size_t size = piece_size(backlog, offset);
    unsigned channel = get(backlog, offset + 2);
    for (size_t i = 0; i < size; i++)
      bytes[i] = (char)get(backlog, offset + HEAD + i);
    offset += HEAD + size;
    const char *from = bytes;
    if (skipping) {
      const char *line = memchr(bytes, '\n', size);
      if (line == NULL)
        continue;
      from = line + 1;
      skipping = false;
    }
    if (from < bytes + size)
      piece(context, channel, from, (size_t)(bytes + size - from));
  }
}
