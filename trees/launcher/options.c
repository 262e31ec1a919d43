#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#ifndef TREES_VERSION
#define TREES_VERSION "dev"
#endif

#define MAX_PRESERVED 1024

static long number(const char *text, const char *option) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < 0 || value > INT_MAX)
    die("wrong usage: expected %s to be a number, got \"%s\"", option, text);
  return value;
}

// What follows NAME= in a word, or NULL.
static const char *value_of(const char *word, const char *name) {
  size_t length = strlen(name);
  return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static enum notify_mode notify_mode(const char *text) {
  static const char *const names[] = {
      [NOTIFY_CONTAINER] = "container", [NOTIFY_CONMON] = "conmon", [NOTIFY_IGNORE] = "ignore"};
  for (int mode = NOTIFY_CONTAINER; mode <= NOTIFY_IGNORE; mode++)
    if (strcmp(text, names[mode]) == 0)
      return (enum notify_mode)mode;
  die("wrong usage: expected --sdnotify to be container, conmon or ignore, got \"%s\"", text);
}

static bool parse_flag(struct options *options, const char *word) {
  if (strcmp(word, "--tty") == 0)
    options->tty = true;
  else if (strcmp(word, "--detach") == 0)
    options->detach = true;
  else if (strcmp(word, "--quiet") == 0)
    options->quiet = true;
  else if (strcmp(word, "--explain-time") == 0)
    options->explain_time = true;
  else if (strcmp(word, "--explain-time=json") == 0)
    options->explain_time = options->explain_json = true;
  else
    return false;
  return true;
}

static void hold(struct options *options, int fd) {
  if (options->hold_count == OPTIONS_HOLD)
    die("wrong usage: expected at most %d descriptors with --hold-fd", OPTIONS_HOLD);
  options->hold[options->hold_count++] = fd;
}

static bool parse_value(struct options *options, const char *word) {
  const char *value;
  if ((value = value_of(word, "--plan-fd")) != NULL)
    options->plan_fd = (int)number(value, "--plan-fd");
  else if ((value = value_of(word, "--die-with-parent")) != NULL)
    options->parent = (pid_t)number(value, "--die-with-parent");
  else if ((value = value_of(word, "--pid-file")) != NULL)
    options->pid_file = value;
  else if ((value = value_of(word, "--status-fd")) != NULL)
    options->status_fd = (int)number(value, "--status-fd");
  else if ((value = value_of(word, "--preserve-fds")) != NULL)
    options->preserve_fds = (unsigned)number(value, "--preserve-fds");
  else if ((value = value_of(word, "--listen-fds")) != NULL)
    options->listen_fds = (unsigned)number(value, "--listen-fds");
  else if ((value = value_of(word, "--hold-fd")) != NULL)
    hold(options, (int)number(value, "--hold-fd"));
  else if ((value = value_of(word, "--sdnotify")) != NULL)
    options->notify = notify_mode(value);
  else
    return false;
  return true;
}

// What the service manager has passed on to this very process.
static unsigned sockets_passed(void) {
  const char *count = getenv("LISTEN_FDS");
  const char *pid = getenv("LISTEN_PID");
  return count != NULL && pid != NULL && number(pid, "LISTEN_PID") == getpid()
             ? (unsigned)number(count, "LISTEN_FDS")
             : 0;
}

static void preserve_sockets(struct options *options) {
  if (options->listen_fds > options->preserve_fds)
    options->preserve_fds = options->listen_fds;
}

// The kernel's call of an interpreter: `trees-launch --command=PLAN SCRIPT [ARGS…]`. The script is only the
// file that named us.
static struct options exported_command(struct options options, char **words, const char *plan) {
  if (words[1] == NULL)
    die("wrong usage: expected a script that names this program and --command=%s in its first line", plan);
  options.exported = true;
  options.plan_path = plan;
  options.command = words + 2;
  options.listen_fds = sockets_passed();
  preserve_sockets(&options);
  return options;
}

static void check(const struct options *options) {
  if (options->preserve_fds > MAX_PRESERVED)
    die("wrong usage: expected --preserve-fds to be at most %d, got %u", MAX_PRESERVED,
        options->preserve_fds);
  int kept = 3 + (int)options->preserve_fds;
  if ((options->plan_path == NULL && options->plan_fd < kept) ||
      (options->status_fd >= 3 && options->status_fd < kept))
    die("wrong usage: expected descriptors of the launcher's own to be beyond those of --preserve-fds");
}

struct options options_parse(int argc, char **argv) {
  struct options options = {.plan_fd = -1, .status_fd = -1, .resume_fd = -1};
  int at = 1;
  // The first one, if it is there at all: the launcher put it there itself.
  if (at < argc && value_of(argv[at], "--resume") != NULL)
    options.resume_fd = (int)number(value_of(argv[at++], "--resume"), "--resume");
  if (at < argc && value_of(argv[at], "--command") != NULL)
    return exported_command(options, argv + at, value_of(argv[at], "--command"));
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
    if (strcmp(argv[at], "--version") == 0) {
      puts("trees-launch " TREES_VERSION);
      exit(0);
    }
    if (!parse_flag(&options, argv[at]) && !parse_value(&options, argv[at]))
      die("wrong usage: unknown option %s", argv[at]);
  }
  if (options.plan_fd < 0 && at < argc)
    options.plan_path = argv[at++];
  if (options.plan_fd < 0 && options.plan_path == NULL)
    die("wrong usage: expected a launch plan: trees-launch PLAN [COMMAND...]");
  options.command = argv + at;
  preserve_sockets(&options);
  check(&options);
  return options;
}
