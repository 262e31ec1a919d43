#include "exec.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "exec-front.h"
#include "exec-target.h"
#include "init-copy.h"
#include "join.h"
#include "keeper.h"
#include "relay.h"
#include "signals.h"
#include "syscalls.h"
#include "util.h"

struct exec_options {
  const char *directory;
  const char *user;
  const char *workdir;
  const char **extra;
  size_t extra_count;
  unsigned preserve_fds;
  int init_fd; // -1, or what was made before the launcher executed its own copy
  bool tty;
  bool detach;
  bool privileged;
  struct detach_keys keys; // without any it ends with its caller
  char **command;
};

static const char *value_of(const char *word, const char *name) {
  size_t length = strlen(name);
  return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static int number(const char *text, const char *option, long most) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < 0 || value > most)
    die("wrong usage: expected %s to be a number up to %ld, got \"%s\"", option, most, text);
  return (int)value;
}

static bool parse_word(struct exec_options *options, const char *word) {
  const char *value;
  if (strcmp(word, "--tty") == 0)
    options->tty = true;
  else if (strcmp(word, "--detach") == 0)
    options->detach = true;
  else if (strcmp(word, "--privileged") == 0)
    options->privileged = true;
  else if ((value = value_of(word, "--user")) != NULL)
    options->user = value;
  else if ((value = value_of(word, "--workdir")) != NULL)
    options->workdir = value;
  else if ((value = value_of(word, "--env")) != NULL)
    options->extra[options->extra_count++] = value;
  else if ((value = value_of(word, "--preserve-fds")) != NULL)
    options->preserve_fds = (unsigned)number(value, "--preserve-fds", 1024);
  else if ((value = value_of(word, "--detach-keys")) != NULL) {
    if (!detach_keys_parse(value, &options->keys))
      die("wrong usage: expected --detach-keys to be characters and ctrl-X, separated by commas, got \"%s\"",
          value);
  } else if ((value = value_of(word, "--init-fd")) != NULL)
    options->init_fd = number(value, "--init-fd", INT_MAX);
  else
    return false;
  return true;
}

static struct exec_options parse(int argc, char **argv) {
  struct exec_options options = {.init_fd = -1, .extra = calloc((size_t)argc + 1, sizeof *options.extra)};
  int at = 3;
  if (options.extra == NULL)
    die_errno("cannot start");
  if (argc < 3)
    die("wrong usage: expected trees-launch --exec RUNDIR [OPTION...] -- COMMAND...");
  options.directory = argv[2];
  for (; at < argc && strcmp(argv[at], "--") != 0; at++)
    if (!parse_word(&options, argv[at]))
      die("wrong usage: unknown option %s", argv[at]);
  if (at + 1 >= argc || argv[at + 1][0] == '\0')
    die("wrong usage: expected a command after --");
  if (options.workdir != NULL && options.workdir[0] != '/')
    die("wrong usage: expected --workdir to be absolute, got \"%s\"", options.workdir);
  options.command = argv + at + 1;
  return options;
}

// Begins again from a copy, with the copy of the init that this one could still find.
_Noreturn static void execute_copy(int argc, char **argv, int init_fd) {
  char option[32];
  char **words = calloc((size_t)argc + 2, sizeof *words);
  int copy = launcher_copy();
  snprintf(option, sizeof option, "--init-fd=%d", init_fd);
  if (words == NULL || fcntl(init_fd, F_SETFD, 0) != 0)
    die_errno("cannot start");
  memcpy(words, argv, 3 * sizeof *words);
  words[3] = option;
  memcpy(words + 4, argv + 3, (size_t)(argc - 3) * sizeof *words);
  sys_execveat(copy, "", words, (char *[]){NULL}, AT_EMPTY_PATH);
  die_errno("cannot execute a copy of trees-launch");
}

// Nothing of ours may have one of their numbers.
static void check_preserved(unsigned count) {
  for (unsigned i = 0; i < count; i++)
    if (fcntl(3 + (int)i, F_GETFD) < 0)
      die("wrong usage: expected --preserve-fds=%u to count open files, descriptor %u is closed", count,
          3 + i);
}

static void close_streams(void) {
  CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  // Standard error stays until the command was executed: the init says on it why that failed.
  for (int fd = 0; fd <= 1; fd++)
    if (null < 0 || dup2(null, fd) != fd)
      die_errno("cannot detach: /dev/null");
}

// A terminal's signals go to all who would get them from it. The command leads its own session, where TSTP
// would be discarded: nobody in there could let it go on.
static void forward(const struct container *container, int sig) {
  int passed = sig == SIGTSTP ? SIGSTOP : sig;
  bool group = sig == SIGINT || sig == SIGQUIT || sig == SIGTSTP || sig == SIGCONT || sig == SIGWINCH;
  if (group && container->keeper != 0)
    keeper_signal_group(container, passed);
  else if (!group || kill(-container->pid, passed) != 0)
    sys_pidfd_send_signal(container->pidfd, passed);
}

static void handle(const struct container *container, int signals, struct relay *relay) {
  int sig = signals_read(signals);
  if (sig == 0)
    return;
  if (sig == SIGWINCH && relay->terminal->wanted) {
    relay_resize(relay);
    return;
  }
  forward(container, sig);
  if (sig == SIGTSTP) {
    relay_suspend(relay);
    kill(getpid(), SIGSTOP);
    relay_resume(relay);
  } else if (sig == SIGCONT) {
    relay_resume(relay);
  }
}

static void take_word(const struct container *container, int *front, struct relay *relay) {
  struct front_word word = front_read(*front);
  switch (word.kind) {
  case FRONT_NONE:
    break;
  case FRONT_SIZE:
    relay_set_size(relay, word.rows, word.columns);
    break;
  case FRONT_SIGNAL:
    forward(container, word.number);
    break;
  case FRONT_DETACH:
    relay->input_open = false; // before /dev/null looks like the end of what is typed
    front_detached(*front);
    *front = -1;
    break;
  }
}

static int exit_status(struct container *container) {
  int status = container_wait(container);
  if (status < 0)
    die_errno("cannot read the exit status");
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

enum { POLL_COMMAND, POLL_SIGNALS, POLL_FRONT, POLL_RELAY };

// `front`: the caller's process where that is another one, or -1.
static int follow(struct container *container, int signals, int front, const struct terminal *terminal) {
  struct relay relay;
  struct pollfd polled[POLL_RELAY + RELAY_POLLED] = {
      [POLL_COMMAND] = {.fd = container_end_descriptor(container), .events = POLLIN},
      [POLL_SIGNALS] = {.fd = signals, .events = POLLIN}};
  relay_start(&relay, &(struct relay_setup){.terminal = terminal, .console = true});
  for (;;) {
    polled[POLL_FRONT] = (struct pollfd){.fd = front, .events = POLLIN};
    relay_poll(&relay, polled + POLL_RELAY, false);
    if (RETRY(poll(polled, POLL_RELAY + RELAY_POLLED, -1)) < 0)
      die_errno("cannot wait for the command");
    if ((polled[POLL_SIGNALS].revents & POLLIN) != 0)
      handle(container, signals, &relay);
    relay_act(&relay, polled + POLL_RELAY);
    if ((polled[POLL_FRONT].revents & POLLIN) != 0)
      take_word(container, &front, &relay);
    if (polled[POLL_COMMAND].revents == 0)
      continue;
    int status = exit_status(container);
    relay_finish(&relay);
    return status;
  }
}

int exec_main(int argc, char **argv) {
  struct exec_options options = parse(argc, argv);
  check_preserved(options.preserve_fds);
  struct target target;
  target_open(options.directory, &target);
  int init_fd = options.init_fd >= 0 ? options.init_fd : init_copy();
  // Root without a user namespace of its own could be allowed to look at us (CAP_SYS_PTRACE): what it finds
  // must not be the file that the next container starts from (CVE-2019-5736).
  if (target.plan.config->userns == PLAN_USERNS_HOST && options.init_fd < 0)
    execute_copy(argc, argv, init_fd);
  int signals = signals_block();
  if (options.detach)
    close_streams();
  struct terminal terminal = {.wanted = options.tty && !options.detach};
  terminal_prepare(&terminal);
  int front = terminal.wanted && options.keys.count > 0 ? front_split(&options.keys, &terminal, signals) : -1;
  struct joining joining = {.target = &target,
                            .terminal = &terminal,
                            .words = options.command,
                            .user = options.user,
                            .workdir = options.workdir,
                            .extra = options.extra,
                            .extra_count = options.extra_count,
                            .privileged = options.privileged,
                            .detached = options.detach,
                            .preserve_fds = options.preserve_fds,
                            .init_fd = init_fd};
  struct container container = join_start(&joining);
  return follow(&container, signals, front, &terminal);
}
