#include "state-text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "request.h"
#include "state.h"
#include "util.h"

struct text {
  char *bytes;
  size_t used;
  size_t room;
  bool encoded;
};

static size_t read_file(const char *path, char *bytes, size_t room) {
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t count = fd < 0 ? 0 : read(fd, bytes, room - 1);
  bytes[count > 0 ? count : 0] = '\0';
  return count > 0 ? (size_t)count : 0;
}

uint64_t state_process_start(pid_t pid) {
  char path[64];
  char text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  read_file(path, text, sizeof text);
  // The name before it may hold anything, also blanks and brackets.
  const char *at = strrchr(text, ')');
  for (int field = 2; at != NULL && field < 22; field++)
    at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoull(at, NULL, 10);
}

static void add(struct text *text, const char *key, const char *value) {
  char encoded[STATE_TEXT * 18];
  if (text->encoded) {
    request_encode(value, encoded, sizeof encoded);
    value = encoded;
  }
  int length = snprintf(text->bytes + text->used, text->room - text->used, "%s=%s\n", key, value);
  if (length > 0 && (size_t)length < text->room - text->used)
    text->used += (size_t)length;
  text->bytes[text->used] = '\0';
}

static void add_number(struct text *text, const char *key, int64_t value) {
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", (long long)value);
  add(text, key, digits);
}

static void add_boot(struct text *text) {
  char id[64];
  read_file("/proc/sys/kernel/random/boot_id", id, sizeof id);
  id[strcspn(id, "\n")] = '\0';
  add(text, "boot", id);
}

static const char *status_name(enum state_status status) {
  static const char *const names[] = {
      [STATE_STARTING] = "starting", [STATE_RUNNING] = "running",       [STATE_PAUSED] = "paused",
      [STATE_STOPPING] = "stopping", [STATE_RESTARTING] = "restarting", [STATE_EXITED] = "exited",
      [STATE_FAILED] = "failed"};
  return names[status];
}

static void add_cgroups(struct text *text, const char *lines) {
  size_t length = strlen(lines);
  if (length >= text->room - text->used)
    return;
  memcpy(text->bytes + text->used, lines, length + 1);
  text->used += length;
}

size_t state_text(const struct state *state, char *bytes, size_t room, bool encoded) {
  struct text text = {.bytes = bytes, .room = room, .encoded = encoded};
  const struct plan_supervision *supervision = state->plan->supervision;
  char plan[STATE_TEXT * 16];
  add_number(&text, "version", 1);
  add(&text, "name", plan_string(state->plan, supervision->name));
  add(&text, "app", plan_string(state->plan, supervision->app));
  add_number(&text, "generation", (int64_t)supervision->generation);
  add(&text, "instance-id", state->id);
  add_boot(&text);
  add(&text, "status", status_name(state->status));
  add_number(&text, "monitor", getpid());
  add_number(&text, "monitor-start", (int64_t)state_process_start(getpid()));
  if (state->init > 0) {
    add_number(&text, "init", state->init);
    add_number(&text, "init-start", (int64_t)state->init_start);
  }
  add_number(&text, "started", state->started);
  if (state->finished != 0)
    add_number(&text, "finished", state->finished);
  if (state->exit >= 0)
    add_number(&text, "exit", state->exit);
  add_number(&text, "oom", state->oom);
  add_number(&text, "restarts", (int64_t)state->restarts);
  add_number(&text, "tty", state->tty);
  add_number(&text, "detached", state->detached);
  if (state->fuse)
    add(&text, "overlay", "fuse-overlayfs");
  snprintf(plan, sizeof plan, "%s/plan", plan_string(state->plan, supervision->run_dir));
  add(&text, "plan", plan);
  add(&text, "health", state->health[0] == '\0' ? "none" : state->health);
  add_number(&text, "ready", state->ready);
  if (state->error[0] != '\0')
    add(&text, "error", state->error);
  if (state->status_text[0] != '\0')
    add(&text, "status-text", state->status_text);
  add_cgroups(&text, state->cgroups);
  return text.used;
}
