#include "tree-server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "child.h"
#include "clock.h"
#include "fuse-tree.h"
#include "handover.h"
#include "layers.h"
#include "syscalls.h"
#include "timing.h"
#include "util.h"

// Milliseconds
#define START_PATIENCE 30000
#define LOCK_PATIENCE 10000
#define LOCK_INTERVAL 20
#define END_PATIENCE 5000

#define WORDS 512

struct start {
  const struct plan *plan;
  int container; // pidfd
  int fds[FUSE_TREE_PLACES];
};

static void close_places(int fds[FUSE_TREE_PLACES]) {
  for (int i = 0; i < FUSE_TREE_PLACES; i++) {
    close_fd(&fds[i]);
    fds[i] = -1;
  }
}

// A server whose launcher was killed is still writing for a moment.
static void take_lock(int lock) {
  int64_t deadline = clock_ms() + LOCK_PATIENCE;
  if (lock < 0)
    return;
  while (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return; // a file system without locks
    if (clock_ms() > deadline)
      die("cannot start fuse-overlayfs: an earlier one still writes what the instance wrote");
    (void)poll(NULL, 0, LOCK_INTERVAL);
  }
}

// A service manager that asks all processes to end asks this one, too, which the others need until they have.
// libfuse handles those only that are not ignored.
static void set_signals(void) {
  static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
  sigset_t none;
  for (int sig = 1; sig <= SIGRTMAX; sig++)
    signal(sig, SIG_DFL);
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
    signal(ignored[i], SIG_IGN);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

// Its own: the device, and the lock for as long as it lives.
static void keep_only(int device, int lock) {
  enum { DEVICE = 3, LOCK };
  int high_device = fcntl(device, F_DUPFD_CLOEXEC, LOCK + 1);
  int high_lock = lock < 0 ? -1 : fcntl(lock, F_DUPFD_CLOEXEC, LOCK + 1);
  if (high_device < 0 || dup2(high_device, DEVICE) != DEVICE ||
      (lock >= 0 && dup2(high_lock, LOCK) != LOCK) ||
      sys_close_range(lock < 0 ? LOCK : LOCK + 1, ~0u, 0) != 0)
    die_errno("cannot pass on the connection");
}

_Noreturn static void become(const struct start *start, int words) {
  struct layers layers = layers_of(start->plan);
  const char *program = fuse_tree_program();
  char options[sizeof layers + 4];
  // What libfuse (3.3 and newer) is given by such a name is mounted already.
  char *argv[] = {
      (char[]){"fuse-overlayfs"}, (char[]){"-f"}, (char[]){"-o"}, options, (char[]){"/dev/fd/3"}, NULL};
  char *env[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, NULL};
  die_set_cleanup(NULL);
  die_set_hook(NULL);
  set_signals();
  setsid(); // the terminal's signals are not for it
  CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(words, STDERR_FILENO) < 0 || dup2(null, STDIN_FILENO) < 0 ||
      dup2(null, STDOUT_FILENO) < 0)
    _exit(STATUS_FAILED);
  if (sys_setns(start->container, CLONE_NEWUSER) != 0)
    die_errno("cannot join the container's user namespace");
  child_become_root(start->plan);
  if (sys_setns(start->fds[FUSE_TREE_NAMESPACE], CLONE_NEWNS) != 0 ||
      fchdir(start->fds[FUSE_TREE_STAGE]) != 0)
    die_errno("cannot join the mount namespace of the layers");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0, 0, 0) != 0)
    die_errno("cannot set no-new-privileges");
  snprintf(options, sizeof options, "%s,%s,%s", layers.lower, layers.upper, layers.work);
  keep_only(start->fds[FUSE_TREE_DEVICE], start->fds[FUSE_TREE_LOCK]);
  if (program == NULL)
    die("it is not there any more");
  execve(program, argv, env);
  die_errno("cannot execute %s", program);
}

// The last line that says something about the failure.
static const char *last_words(char *words) {
  char *state;
  const char *last = "it says nothing";
  for (char *line = strtok_r(words, "\n", &state); line != NULL; line = strtok_r(NULL, "\n", &state))
    if (strncmp(line, "unknown argument ignored", 24) != 0)
      last = strncmp(line, "error: ", 7) == 0 ? line + 7 : line;
  return last;
}

_Noreturn static void failed(const struct plan *plan, struct tree_server *server, char *words) {
  tree_server_kill(server);
  die("cannot mount the tree %s by fuse-overlayfs: %s", plan_string(plan, plan->ops[0].source),
      last_words(words));
}

// Until it answers the container's first question.
static void wait_for(const struct plan *plan, struct tree_server *server, int handover, int output) {
  enum { ANSWER, WORDS_READ, END, POLLED };
  char words[WORDS];
  size_t used = 0;
  int64_t deadline = clock_ms() + START_PATIENCE;
  for (;;) {
    struct pollfd polled[POLLED] = {[ANSWER] = {.fd = handover, .events = POLLIN},
                                    [WORDS_READ] = {.fd = output, .events = POLLIN},
                                    [END] = {.fd = server->pidfd, .events = POLLIN}};
    int64_t left = deadline - clock_ms();
    int ready = poll(polled, POLLED, left > 0 ? (int)left : 0);
    if (ready < 0 && errno != EINTR)
      die_errno("cannot wait for fuse-overlayfs");
    ssize_t count = -1;
    if ((polled[WORDS_READ].revents & POLLIN) != 0 && used < sizeof words - 1)
      count = RETRY(read(output, words + used, sizeof words - 1 - used));
    used += count > 0 ? (size_t)count : 0;
    words[used] = '\0';
    if (count > 0)
      continue;
    // By now the container may be over already, and the server with it.
    bool answered = polled[ANSWER].revents != 0 && handover_take(handover, NULL, 0);
    if (!answered && polled[END].revents != 0)
      failed(plan, server, words);
    if (answered || polled[ANSWER].revents != 0) // or the container has ended, and has said why
      return;
    if (ready == 0)
      failed(plan, server, strcpy(words, "it does not answer"));
    if (polled[WORDS_READ].revents != 0)
      output = -1; // full, or closed
  }
}

void tree_server_start(const struct plan *plan, int pidfd, int handover, struct tree_server *server) {
  struct start start = {.plan = plan, .container = pidfd};
  *server = (struct tree_server){.pidfd = -1};
  if (!plan_unprivileged(plan))
    return;
  if (!handover_hear(handover, start.fds, FUSE_TREE_PLACES, &server->refused) ||
      start.fds[FUSE_TREE_DEVICE] < 0)
    return;
  timing_mark("wait for the overlay that is refused", "");
  take_lock(start.fds[FUSE_TREE_LOCK]);
  int words[2];
  if (pipe2(words, O_CLOEXEC) != 0)
    die_errno("cannot start fuse-overlayfs");
  CLEANUP_FD int output = words[0];
  pid_t pid = fork();
  if (pid == 0)
    become(&start, words[1]);
  close(words[1]);
  close_places(start.fds);
  if (pid < 0)
    die_errno("cannot start fuse-overlayfs");
  server->pid = pid;
  server->pidfd = sys_pidfd_open(pid);
  timing_mark("start fuse-overlayfs", "");
  wait_for(plan, server, handover, output);
  timing_mark("wait until fuse-overlayfs answers", "");
}

void tree_server_notice(const struct plan *plan, const struct tree_server *server) {
  if (server->pid == 0)
    return;
  if (server->refused == FUSE_TREE_KEPT)
    notice("the tree is shown by fuse-overlayfs, which is slower than the kernel: it has written %s",
           layers_written(plan));
  else
    notice("the tree is shown by fuse-overlayfs, which is slower: the kernel refuses an overlay on %s: %s",
           layers_written(plan), strerror((int)server->refused));
}

static void reap(struct tree_server *server, int *status) {
  (void)RETRY(waitpid(server->pid, status, 0));
  close_fd(&server->pidfd);
  *server = (struct tree_server){.pidfd = -1};
}

void tree_server_ended(struct tree_server *server) {
  int status = 0;
  reap(server, &status);
  // Else the container's mounts have ended, which the container is about to.
  if (WIFSIGNALED(status))
    warning("fuse-overlayfs was ended by signal %d: the container has no files any more, and is ended",
            WTERMSIG(status));
  else if (WEXITSTATUS(status) != 0)
    warning("fuse-overlayfs failed with status %d: the container has no files any more, and is ended",
            WEXITSTATUS(status));
}

void tree_server_finish(struct tree_server *server) {
  struct pollfd polled = {.fd = server->pidfd, .events = POLLIN};
  if (server->pid == 0)
    return;
  // It keeps nothing back that it was given to write.
  if (RETRY(poll(&polled, 1, END_PATIENCE)) <= 0)
    warning("fuse-overlayfs is ended: somebody outside of the container still has its files open");
  tree_server_kill(server);
}

void tree_server_kill(struct tree_server *server) {
  int status;
  if (server->pid == 0)
    return;
  kill(server->pid, SIGKILL); // a child that nobody has waited for: the number is its own
  reap(server, &status);
}
