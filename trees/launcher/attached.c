#include "attached.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"

#define HEAD 8
#define PIECE (16u << 10)
#define PATIENCE_MS 1000

// Frames: channel, three zero bytes, length as 32 bits with the highest byte first, then the bytes.
static bool append(struct client *client, unsigned channel, const char *bytes, size_t size) {
  unsigned char head[HEAD] = {(unsigned char)channel,
                              0,
                              0,
                              0,
                              (unsigned char)(size >> 24),
                              (unsigned char)(size >> 16),
                              (unsigned char)(size >> 8),
                              (unsigned char)size};
  if (client->raw)
    return control_append(client, bytes, size);
  if (!control_append(client, head, sizeof head))
    return false;
  if (control_append(client, bytes, size))
    return true;
  client->out_end -= sizeof head;
  return false;
}

static void tell_lost(struct client *client) {
  char line[128];
  int length = snprintf(line, sizeof line, "%s[trees: %llu bytes of output were not taken in time]%s\n",
                        client->raw ? "\r\n" : "", (unsigned long long)client->lost, client->raw ? "\r" : "");
  if (append(client, 2, line, (size_t)length))
    client->lost = 0;
}

static void give(struct client *client, unsigned channel, const char *bytes, size_t size) {
  if (client->lost == 0 && append(client, channel, bytes, size))
    return;
  control_flush(client);
  if (client->kind == CLIENT_ATTACHED && (client->lost > 0 || !append(client, channel, bytes, size)))
    client->lost += size;
}

static void give_piece(void *context, unsigned channel, const char *bytes, size_t size) {
  give(context, channel, bytes, size);
}

void attached_begin(struct client *client, const struct attach_request *request) {
  client->kind = CLIENT_ATTACHED;
  client->takes_output = request->output;
  client->gives_input = request->input;
  client->raw = request->raw;
  if (request->output && request->backlog != NULL)
    backlog_replay(request->backlog, give_piece, client);
}

void attached_output(struct control *control, unsigned channel, const char *bytes, size_t size) {
  for (struct client *client = control->clients; client < control->clients + CONTROL_CLIENTS; client++)
    for (size_t at = 0; client->kind == CLIENT_ATTACHED && client->takes_output && at < size; at += PIECE)
      give(client, channel, bytes + at, size - at < PIECE ? size - at : PIECE);
}

static void consume(struct client *client, size_t count) {
  client->in_used -= count;
  memmove(client->in, client->in + count, client->in_used);
}

static bool read_head(struct client *client) {
  size_t missing = HEAD - client->head_used;
  size_t count = client->in_used < missing ? client->in_used : missing;
  memcpy(client->head + client->head_used, client->in, count);
  client->head_used += count;
  consume(client, count);
  if (client->head_used < HEAD)
    return false;
  client->head_used = 0;
  client->frame_input = client->head[0] == 0;
  client->frame_left = (uint32_t)client->head[4] << 24 | (uint32_t)client->head[5] << 16 |
                       (uint32_t)client->head[6] << 8 | client->head[7];
  return true;
}

static size_t take(struct client *client, char *bytes, size_t room) {
  size_t used = 0;
  while (client->in_used > 0 && used < room) {
    if (!client->raw && client->frame_left == 0) {
      read_head(client);
      continue;
    }
    size_t count = client->in_used < room - used ? client->in_used : room - used;
    if (!client->raw && count > client->frame_left)
      count = client->frame_left;
    if (client->raw || client->frame_input) {
      memcpy(bytes + used, client->in, count);
      used += count;
    }
    if (!client->raw)
      client->frame_left -= (uint32_t)count;
    consume(client, count);
  }
  return used;
}

size_t attached_input(struct control *control, char *bytes, size_t room) {
  size_t used = 0;
  for (struct client *client = control->clients; client < control->clients + CONTROL_CLIENTS; client++)
    if (client->kind == CLIENT_ATTACHED)
      used += take(client, bytes + used, room - used);
  return used;
}

bool attached_stalled(const struct control *control, int64_t *until) {
  int64_t now = clock_ms();
  for (int i = 0; i < CONTROL_CLIENTS; i++) {
    const struct client *client = &control->clients[i];
    if (client->kind != CLIENT_ATTACHED || client->full_since == 0 || client->full_since + PATIENCE_MS <= now)
      continue;
    *until = client->full_since + PATIENCE_MS;
    return true;
  }
  return false;
}

void attached_catch_up(struct control *control) {
  for (struct client *client = control->clients; client < control->clients + CONTROL_CLIENTS; client++)
    if (client->kind == CLIENT_ATTACHED && client->lost > 0 && client->out_start == client->out_end)
      tell_lost(client);
}

void attached_end(struct control *control) {
  for (struct client *client = control->clients; client < control->clients + CONTROL_CLIENTS; client++)
    if (client->kind == CLIENT_ATTACHED)
      client->kind = CLIENT_LEAVING;
}
