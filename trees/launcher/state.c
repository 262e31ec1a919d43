#include "state.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "state-text.h"
#include "syscalls.h"
#include "util.h"

// Somebody who looks whether the instance runs holds its lock, shared, for an instant.
#define LOOKERS_MS 200
#define LOOKERS_STEP_MS 5

// A name that goes away between two steps is made again: the instance before this one may be removing it.
#define ATTEMPTS 10

static const char *const files[] = {"state",     ".state",    "plan",     ".plan", "control",
                                    "spec.json", "next.plan", "starting", "lock"};

int64_t state_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int make_directory(const char *path) {
  char copy[PATH_MAX];
  if ((size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy)
    die("cannot keep the instance's state: %s is too long", path);
  for (char *at = copy + 1; (at = strchr(at, '/')) != NULL; *at++ = '/') {
    *at = '\0';
    if (mkdir(copy, 0755) != 0 && errno != EEXIST)
      die_errno("cannot make the directory %s", copy);
  }
  if (mkdir(copy, 0700) != 0 && errno != EEXIST)
    die_errno("cannot make the directory %s", copy);
  return open(copy, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool take_lock(int fd) {
  for (int waited = 0;; waited += LOOKERS_STEP_MS) {
    if (RETRY(flock(fd, LOCK_EX | LOCK_NB)) == 0)
      return true;
    if (waited >= LOOKERS_MS)
      return false;
    poll(NULL, 0, LOOKERS_STEP_MS);
  }
}

// False when the directory was removed meanwhile.
static bool lock_directory(struct state *state, const char *path) {
  struct stat status;
  state->dir = make_directory(path);
  if (state->dir < 0 && errno == ENOENT)
    return false;
  if (state->dir < 0 || fstat(state->dir, &status) != 0)
    die_errno("cannot open the directory %s", path);
  if (status.st_uid != geteuid())
    die("cannot keep the instance's state in %s: it belongs to user %u", path, status.st_uid);
  state->lock = openat(state->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (state->lock < 0 && errno == ENOENT)
    return false;
  if (state->lock < 0)
    die_errno("cannot open the lock %s/lock", path);
  if (!take_lock(state->lock))
    die("the instance %s is running already (another --name gives another instance, --replace replaces it)",
        plan_string(state->plan, state->plan->supervision->name));
  return fstat(state->lock, &status) == 0 && status.st_nlink > 0;
}

static void make_id(char id[13]) {
  static const char hex[] = "0123456789abcdef";
  unsigned char bytes[6] = {0};
  if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
    die_errno("cannot make an id for the instance");
  for (size_t i = 0; i < sizeof bytes; i++) {
    id[2 * i] = hex[bytes[i] >> 4];
    id[2 * i + 1] = hex[bytes[i] & 15];
  }
}

void state_open(struct state *state, const struct plan *plan) {
  *state = (struct state){.plan = plan, .dir = -1, .lock = -1, .exit = -1};
  const char *path = plan->supervision == NULL ? "" : plan_string(plan, plan->supervision->run_dir);
  if (path[0] == '\0')
    return;
  // Nothing is this launcher's before it has the lock, also if it must give up: hence not *state.
  struct state opened = *state;
  for (int attempt = 0; !lock_directory(&opened, path); attempt++) {
    close_fd(&opened.lock);
    close_fd(&opened.dir);
    opened.lock = opened.dir = -1;
    if (attempt == ATTEMPTS)
      die("cannot lock %s: it is being removed again and again", path);
  }
  *state = opened;
  state->existed = faccessat(state->dir, "state", F_OK, 0) == 0;
  make_id(state->id);
}

void state_started(struct state *state, pid_t init) {
  state->init = init;
  state->init_start = state_process_start(init);
  state->started = state_now();
  state->finished = 0;
  state->exit = -1;
  state->oom = false;
  state->ready = false;
  state->health[0] = '\0';
  state->error[0] = '\0';
  state->status_text[0] = '\0';
}

// One line of what readers need not decode.
static void set_text(char to[STATE_TEXT], const char *text) {
  snprintf(to, STATE_TEXT, "%s", text);
  for (char *at = to; *at != '\0'; at++)
    if ((unsigned char)*at < ' ' || *at == 0x7f || *at == '%')
      *at = ' ';
}

void state_error(struct state *state, const char *message) {
  set_text(state->error, message);
}

void state_status_text(struct state *state, const char *text) {
  set_text(state->status_text, text);
}

void state_add_cgroup(struct state *state, const char *controllers, const char *path) {
  size_t used = strlen(state->cgroups);
  int length =
      snprintf(state->cgroups + used, sizeof state->cgroups - used, "cgroup=%s:%s\n", controllers, path);
  if (length < 0 || (size_t)length >= sizeof state->cgroups - used)
    state->cgroups[used] = '\0';
}

static void replace(const struct state *state, const char *from, const char *to, const char *what) {
  if (renameat(state->dir, from, state->dir, to) != 0)
    warning_errno("cannot write the instance's %s", what);
}

void state_write(const struct state *state) {
  static char text[8192];
  if (state->dir < 0)
    return;
  size_t size = state_text(state, text, sizeof text, false);
  CLEANUP_FD int fd =
      openat(state->dir, ".state", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0 || write_all(fd, text, size) != 0) {
    warning_errno("cannot write the instance's state");
    return;
  }
  replace(state, ".state", "state", "state");
}

void state_keep_plan(const struct state *state, int plan_fd) {
  if (state->dir < 0)
    return;
  CLEANUP_FD int fd =
      openat(state->dir, ".plan", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    die_errno("cannot keep the launch plan");
  char buffer[16384];
  off_t offset = 0;
  ssize_t count;
  while ((count = RETRY(pread(plan_fd, buffer, sizeof buffer, offset))) > 0) {
    if (write_all(fd, buffer, (size_t)count) != 0)
      die_errno("cannot keep the launch plan");
    offset += count;
  }
  if (count < 0)
    die_errno("cannot read the launch plan");
  replace(state, ".plan", "plan", "launch plan");
}

int state_open_plan(const struct state *state) {
  return openat(state->dir, "plan", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

void state_remove(const struct state *state) {
  if (state->dir < 0)
    return;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    unlinkat(state->dir, files[i], 0);
  // Stays if somebody keeps something else there.
  rmdir(plan_string(state->plan, state->plan->supervision->run_dir));
}

void state_release(struct state *state) {
  close_fd(&state->lock);
  close_fd(&state->dir);
  state->lock = -1;
  state->dir = -1;
}
