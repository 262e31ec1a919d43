#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "standalone.h"

#ifndef TREES_VERSION
#define TREES_VERSION "dev"
#endif

enum level { FATAL, WARN, INFO, DEBUG, TRACE };

struct tini {
  int verbosity;
  int parent_death; // signal, 0: none
  bool subreaper;
  bool warn_on_reap;
  bool group;
  bool remapped[256]; // exit status that is to be 0
  pid_t child;
  char *const *command;
};

static void say(const struct tini *tini, enum level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(const struct tini *tini, enum level level, const char *format, ...) {
  static const char *const names[] = {"FATAL", "WARN ", "INFO ", "DEBUG", "TRACE"};
  if (level != FATAL && tini->verbosity < (int)level)
    return;
  va_list arguments;
  va_start(arguments, format);
  FILE *to = level > WARN ? stdout : stderr;
  fprintf(to, "[%s tini (%d)] ", names[level], (int)getpid());
  vfprintf(to, format, arguments);
  fputc('\n', to);
  fflush(to);
  va_end(arguments);
}

static void print_version(FILE *to) {
  fprintf(to, "tini version 0.19.0 (trees-init " TREES_VERSION ")\n");
}

static void print_usage(const char *name, FILE *to) {
  const char *slash = strrchr(name, '/');
  const char *base = slash == NULL ? name : slash + 1;
  fprintf(to, "%s (", base);
  fprintf(to, "tini version 0.19.0, trees-init " TREES_VERSION ")\n");
  fprintf(to, "Usage: %s [OPTIONS] PROGRAM -- [ARGS] | --version\n\n", base);
  fputs("Execute a program under the supervision of a valid init process (tini)\n\n"
        "Command line options:\n\n"
        "  --version: Show version and exit.\n"
        "  -h: Show this help message and exit.\n"
        "  -s: Register as a process subreaper.\n"
        "  -p SIGNAL: Trigger SIGNAL when parent dies, e.g. \"-p SIGKILL\".\n"
        "  -v: Generate more verbose output. Repeat up to 3 times.\n"
        "  -w: Print a warning when processes are getting reaped.\n"
        "  -g: Send signals to the child's process group.\n"
        "  -e EXIT_CODE: Remap EXIT_CODE (from 0 to 255) to 0.\n"
        "  -l: Show license and exit.\n\n"
        "Environment variables:\n\n"
        "  TINI_SUBREAPER: Register as a process subreaper.\n"
        "  TINI_VERBOSITY: Set the verbosity level (default: 1).\n"
        "  TINI_KILL_PROCESS_GROUP: Send signals to the child's process group.\n\n",
        to);
}

static bool parse_status(struct tini *tini, const char *text) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < 0 || value > 255)
    return false;
  tini->remapped[value] = true;
  return true;
}

static void read_environment(struct tini *tini) {
  const char *verbosity = getenv("TINI_VERBOSITY");
  tini->verbosity = verbosity == NULL ? 1 : atoi(verbosity);
  tini->subreaper = getenv("TINI_SUBREAPER") != NULL;
  tini->group = getenv("TINI_KILL_PROCESS_GROUP") != NULL;
}

// -1: go on; otherwise the exit status.
static int parse_options(struct tini *tini, int argc, char *const argv[]) {
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    print_version(stdout);
    return 0;
  }
  int option;
  optind = 1;
  while ((option = getopt(argc, argv, "+hvwgle:p:s")) != -1) {
    switch (option) {
    case 'h':
      print_usage(argv[0], stdout);
      return 0;
    case 's':
      tini->subreaper = true;
      break;
    case 'p':
      tini->parent_death = standalone_parse_signal(optarg);
      if (tini->parent_death == 0) {
        say(tini, FATAL, "Not a valid option for -p: %s", optarg);
        return 1;
      }
      break;
    case 'v':
      tini->verbosity++;
      break;
    case 'w':
      tini->warn_on_reap = true;
      break;
    case 'g':
      tini->group = true;
      break;
    case 'e':
      if (!parse_status(tini, optarg)) {
        say(tini, FATAL, "Not a valid option for -e: %s", optarg);
        return 1;
      }
      break;
    case 'l':
      puts("trees-init is licensed as trees is; see its LICENSE file.");
      return 0;
    default:
      print_usage(argv[0], stderr);
      return 1;
    }
  }
  tini->command = argv + optind;
  if (tini->command[0] != NULL)
    return -1;
  print_usage(argv[0], stderr);
  return 1;
}

static void check_reaping(struct tini *tini) {
  if (tini->subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1ul, 0, 0, 0) != 0)
    say(tini, FATAL, "Failed to register as subreaper: %s", strerror(errno));
  int subreaper = 0;
  prctl(PR_GET_CHILD_SUBREAPER, (unsigned long)&subreaper, 0, 0, 0);
  if (getpid() == 1 || subreaper != 0)
    return;
  say(tini, WARN,
      "Tini is not running as PID 1 and isn't registered as a child subreaper.\n"
      "Zombie processes will not be re-parented to Tini, so zombie reaping won't work.\n"
      "To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to "
      "register Tini as a child subreaper, or run Tini as PID 1.");
}

_Noreturn static void become_command(const struct tini *tini, const sigset_t *set) {
  setpgid(0, 0);
  // Still blocked: taking the terminal from the background would stop us.
  tcsetpgrp(STDIN_FILENO, getpgrp());
  standalone_restore(set);
  execvp(tini->command[0], tini->command);
  int status = errno == ENOENT ? 127 : errno == EACCES ? 126 : 1;
  say(tini, FATAL, "exec %s failed: %s", tini->command[0], strerror(errno));
  _exit(status);
}

// The status of the child once it has ended, -1 before.
static int reap(const struct tini *tini) {
  int result = -1;
  for (;;) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == EINTR)
      continue;
    if (pid <= 0)
      return result;
    say(tini, DEBUG, "Reaped child with pid: '%d'", (int)pid);
    if (pid != tini->child) {
      if (tini->warn_on_reap)
        say(tini, WARN, "Reaped zombie process with pid=%d", (int)pid);
      continue;
    }
    result = standalone_status(status);
    say(tini, INFO,
        WIFSIGNALED(status) ? "Main child exited with signal (with signal '%d')"
                            : "Main child exited normally (with status '%d')",
        WIFSIGNALED(status) ? WTERMSIG(status) : result);
    if (tini->remapped[result])
      result = 0;
  }
}

static void forward(const struct tini *tini, int sig) {
  say(tini, DEBUG, "Passing signal: '%s'", strsignal(sig));
  if (kill(tini->group ? -tini->child : tini->child, sig) == 0)
    return;
  if (errno == ESRCH)
    say(tini, WARN, "Child was dead when forwarding signal");
  else
    say(tini, FATAL, "Unexpected error when forwarding signal: '%s'", strerror(errno));
}

int tini_main(char *const argv[]) {
  struct tini tini = {0};
  sigset_t set;
  int argc = 0;
  while (argv[argc] != NULL)
    argc++;
  read_environment(&tini);
  int done = parse_options(&tini, argc, argv);
  if (done >= 0)
    return done;
  standalone_block(&set);
  if (tini.parent_death != 0)
    prctl(PR_SET_PDEATHSIG, (unsigned long)tini.parent_death, 0, 0, 0);
  check_reaping(&tini);
  tini.child = fork();
  if (tini.child < 0) {
    say(&tini, FATAL, "fork failed: %s", strerror(errno));
    return 1;
  }
  if (tini.child == 0)
    become_command(&tini, &set);
  say(&tini, INFO, "Spawned child process '%s' with pid '%d'", tini.command[0], (int)tini.child);
  for (;;) {
    int sig = standalone_next_signal(&set);
    if (sig == SIGCHLD) {
      say(&tini, DEBUG, "Received SIGCHLD");
      int status = reap(&tini);
      if (status >= 0)
        return status;
    } else if (sig > 0 && sig != SIGTTIN && sig != SIGTTOU) {
      forward(&tini, sig);
    }
  }
}
