#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "standalone.h"

#ifndef TREES_VERSION
#define TREES_VERSION "dev"
#endif

#define LAST_SIGNAL 31

struct dumb_init {
  bool debug;
  bool session;                 // the child has its own, and signals go to its whole process group
  int rewrite[LAST_SIGNAL + 1]; // -1: as it is, 0: not passed on
  bool ignore_once[LAST_SIGNAL + 1];
  pid_t child;
  char *const *command;
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("[dumb-init] ", stderr);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
}

#define debug(self, ...)                                                                                     \
  do {                                                                                                       \
    if ((self)->debug)                                                                                       \
      say(__VA_ARGS__);                                                                                      \
  } while (0)

static void print_help(const char *name) {
  fprintf(stderr,
          "dumb-init v1.2.5 (trees-init " TREES_VERSION ")\nUsage: %s [option] command [[arg] ...]\n\n",
          name);
  fputs("dumb-init is a simple process supervisor that forwards signals to children.\n"
        "It is designed to run as PID1 in minimal container environments.\n\n"
        "Optional arguments:\n"
        "   -c, --single-child   Run in single-child mode.\n"
        "                        In this mode, signals are only proxied to the\n"
        "                        direct child and not any of its descendants.\n"
        "   -r, --rewrite s:r    Rewrite received signal s to new signal r before proxying.\n"
        "                        To ignore (not proxy) a signal, rewrite it to 0.\n"
        "                        This option can be specified multiple times.\n"
        "   -v, --verbose        Print debugging information to stderr.\n"
        "   -h, --help           Print this help message and exit.\n"
        "   -V, --version        Print the current version and exit.\n",
        stderr);
}

static bool parse_rewrite(struct dumb_init *self, const char *text) {
  char *colon;
  char *end;
  long from = strtol(text, &colon, 10);
  long to = *colon == ':' ? strtol(colon + 1, &end, 10) : -1;
  bool valid = colon != text && *colon == ':' && end != colon + 1 && *end == '\0' && from >= 1 &&
               from <= LAST_SIGNAL && to >= 0 && to <= LAST_SIGNAL;
  if (valid)
    self->rewrite[from] = (int)to;
  return valid;
}

static int parse_options(struct dumb_init *self, int argc, char *const argv[]) {
  static const struct option options[] = {
      {"help", no_argument, NULL, 'h'},          {"single-child", no_argument, NULL, 'c'},
      {"rewrite", required_argument, NULL, 'r'}, {"verbose", no_argument, NULL, 'v'},
      {"version", no_argument, NULL, 'V'},       {NULL, 0, NULL, 0}};
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "+hvVcr:", options, NULL)) != -1) {
    switch (option) {
    case 'h':
      print_help(argv[0]);
      return 0;
    case 'v':
      self->debug = true;
      break;
    case 'V':
      fputs("dumb-init v1.2.5 (trees-init " TREES_VERSION ")\n", stderr);
      return 0;
    case 'c':
      self->session = false;
      break;
    case 'r':
      if (parse_rewrite(self, optarg))
        break;
      fprintf(stderr,
              "Usage: -r option takes <signum>:<signum>, where <signum> is between 1 and %d.\n"
              "This option can be specified multiple times.\nUse --help for full usage.\n",
              LAST_SIGNAL);
      return 1;
    default:
      return 1;
    }
  }
  self->command = argv + optind;
  if (self->command[0] != NULL)
    return -1;
  fprintf(stderr, "Usage: %s [option] program [args]\nTry %s --help for full usage.\n", argv[0], argv[0]);
  return 1;
}

// A process group without a parent in its session cannot be stopped by a terminal: stop it ourselves.
static void set_job_control(struct dumb_init *self) {
  static const int stops[] = {SIGTSTP, SIGTTOU, SIGTTIN};
  for (size_t i = 0; self->session && i < sizeof stops / sizeof *stops; i++)
    if (self->rewrite[stops[i]] < 0)
      self->rewrite[stops[i]] = SIGSTOP;
}

// The terminal becomes the child's. Letting go of it makes the kernel send HUP and CONT, which mean nothing.
static void leave_terminal(struct dumb_init *self) {
  if (!self->session)
    return;
  if (ioctl(STDIN_FILENO, TIOCNOTTY) != 0) {
    debug(self, "Unable to detach from controlling tty (errno=%d %s).\n", errno, strerror(errno));
    return;
  }
  if (getsid(0) != getpid()) {
    debug(self, "Detached from controlling tty, but was not session leader.\n");
    return;
  }
  debug(self, "Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive.\n");
  self->ignore_once[SIGHUP] = true;
  self->ignore_once[SIGCONT] = true;
}

_Noreturn static void become_command(const struct dumb_init *self, const sigset_t *set) {
  standalone_restore(set);
  if (self->session) {
    if (setsid() < 0) {
      say("Unable to setsid (errno=%d %s). Exiting.\n", errno, strerror(errno));
      _exit(1);
    }
    if (ioctl(STDIN_FILENO, TIOCSCTTY, 0) != 0)
      debug(self, "Unable to attach to controlling tty (errno=%d %s).\n", errno, strerror(errno));
    debug(self, "setsid complete.\n");
  }
  execvp(self->command[0], self->command);
  say("%s: %s\n", self->command[0], strerror(errno));
  _exit(2);
}

static void forward(const struct dumb_init *self, int sig) {
  int target = sig <= LAST_SIGNAL && self->rewrite[sig] >= 0 ? self->rewrite[sig] : sig;
  if (target == 0) {
    debug(self, "Not forwarding signal %d to children (ignored).\n", sig);
    return;
  }
  kill(self->session ? -self->child : self->child, target);
  debug(self, "Forwarded signal %d to children.\n", target);
}

// The status of the child once it has ended, -1 before.
static int reap(const struct dumb_init *self) {
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == EINTR)
      continue;
    if (pid <= 0)
      return -1;
    debug(self, "A child with PID %d %s %d.\n", (int)pid,
          WIFSIGNALED(status) ? "was terminated by signal" : "exited with exit status",
          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (pid != self->child)
      continue;
    forward(self, SIGTERM);
    debug(self, "Child exited with status %d. Goodbye.\n", standalone_status(status));
    return standalone_status(status);
  }
}

static int handle(struct dumb_init *self, int sig) {
  debug(self, "Received signal %d.\n", sig);
  if (sig <= LAST_SIGNAL && self->ignore_once[sig]) {
    debug(self, "Ignoring tty hand-off signal %d.\n", sig);
    self->ignore_once[sig] = false;
    return -1;
  }
  if (sig == SIGCHLD)
    return reap(self);
  forward(self, sig);
  if (sig == SIGTSTP || sig == SIGTTOU || sig == SIGTTIN) {
    debug(self, "Suspending self due to TTY signal.\n");
    kill(getpid(), SIGSTOP);
  }
  return -1;
}

int dumb_init_main(char *const argv[]) {
  const char *setsid_mode = getenv("DUMB_INIT_SETSID");
  const char *debug_mode = getenv("DUMB_INIT_DEBUG");
  struct dumb_init self = {.session = setsid_mode == NULL || strcmp(setsid_mode, "0") != 0,
                           .debug = debug_mode != NULL && strcmp(debug_mode, "1") == 0};
  sigset_t set;
  int argc = 0;
  while (argv[argc] != NULL)
    argc++;
  for (int sig = 0; sig <= LAST_SIGNAL; sig++)
    self.rewrite[sig] = -1;
  int done = parse_options(&self, argc, argv);
  if (done >= 0)
    return done;
  set_job_control(&self);
  standalone_block(&set);
  leave_terminal(&self);
  self.child = fork();
  if (self.child < 0) {
    say("Unable to fork. Exiting.\n");
    return 1;
  }
  if (self.child == 0)
    become_command(&self, &set);
  debug(&self, "Child spawned with PID %d.\n", (int)self.child);
  // Nothing of the tree is kept busy.
  if (chdir("/") != 0)
    debug(&self, "Unable to chdir to /.\n");
  int status;
  do
    status = handle(&self, standalone_next_signal(&set));
  while (status < 0);
  return status;
}
