#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../launcher/privileges.h"
#include "../launcher/util.h"
#include "restrict.h"
#include "standalone.h"
#include "users.h"

extern int setgroups(size_t, const gid_t *); // behind a feature macro in some libcs
extern char **environ;

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void reset_signals(void) {
  sigset_t none;
  sigemptyset(&none);
  for (int sig = 1; sig <= SIGRTMAX; sig++)
    signal(sig, SIG_DFL); // fails for KILL and STOP, which need it least
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_limit(const struct plan_rlimit *limit) {
  struct rlimit value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
  if (setrlimit((int)limit->resource, &value) == 0)
    return;
  if (limit->required != 0)
    die_errno("cannot set resource limit %u", limit->resource);
  // The hard limit may be out of reach; the soft one below it is not.
  if (getrlimit((int)limit->resource, &value) == 0 && limit->soft <= value.rlim_max) {
    value.rlim_cur = limit->soft;
    setrlimit((int)limit->resource, &value);
  }
}

// Those of the command win.
static void set_limits(const struct plan *plan, const struct command *command) {
  for (size_t i = 0; i < plan->rlimit_count; i++)
    set_limit(&plan->rlimits[i]);
  for (size_t i = 0; i < command->link_count; i++) {
    const struct plan_service_link *link = &command->links[i];
    if (link->kind != PLAN_LINK_RLIMIT)
      continue;
    struct plan_rlimit limit = {
        .resource = link->target, .required = link->number, .soft = link->a, .hard = link->b};
    set_limit(&limit);
  }
}

static void add_groups(const struct plan *plan, struct user *user) {
  if (plan->security == NULL)
    return;
  for (uint32_t i = 0; i < plan->security->groups.count; i++)
    user_add_group(plan_word(plan, plan->security->groups, i), user);
}

static void become(const struct plan *plan, const struct command *command, const struct user *user) {
  uint64_t capabilities = command->privileged ? UINT64_MAX : plan->config->capabilities;
  privileges_bound(capabilities);
  // With one id there is nothing to change, and the kernel would refuse setgroups.
  if (plan->config->userns == PLAN_USERNS_SELF) {
    if (user->uid != 0 || user->gid != 0)
      die("cannot run as user %u:%u: an unprivileged caller has only user 0 in the container", user->uid,
          user->gid);
  } else if (setgroups(user->group_count, user->groups) != 0 ||
             setresgid(user->gid, user->gid, user->gid) != 0 ||
             setresuid(user->uid, user->uid, user->uid) != 0) {
    die_errno("cannot run as user %u:%u", user->uid, user->gid);
  }
  privileges_keep(user->uid == 0 ? capabilities : 0);
}

// After the change of user, which would clear the request.
static void tie(int process) {
  struct pollfd polled = {.fd = process, .events = POLLIN};
  if (process == 0)
    return;
  if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0, 0, 0) != 0)
    die_errno("cannot tie the command to its caller");
  if (poll(&polled, 1, 0) > 0)
    _exit(STATUS_FAILED);
}

// After the change of user, so that its permissions count.
static void change_directory(const char *workdir) {
  char real[PATH_MAX];
  if (workdir[0] != '\0' && chdir(workdir) != 0)
    die_errno("cannot change to the working directory %s", workdir);
  // A working directory outside the root would be a way out (CVE-2024-21626).
  if (getcwd(real, sizeof real) == NULL || real[0] != '/')
    die("refused: the working directory %s is not inside the container", workdir);
}

static const char *variable(char *const *env, const char *name) {
  size_t length = strlen(name);
  for (; *env != NULL; env++)
    if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
      return *env + length + 1;
  return NULL;
}

static char **string_list(size_t count) {
  char **list = calloc(count + 1, sizeof *list);
  if (list == NULL)
    die_errno("cannot start the command");
  return list;
}

// One that is there already wins.
static char **add_variables(const struct plan *plan, char **env, const uint32_t *offsets, size_t count) {
  char **end = env;
  while (*end != NULL)
    end++;
  for (size_t i = 0; i < count; i++) {
    const char *text = plan_string(plan, offsets[i]);
    const char *equals = strchr(text, '=');
    char name[256];
    size_t length = equals == NULL ? 0 : (size_t)(equals - text);
    if (length > 0 && length < sizeof name) {
      memcpy(name, text, length);
      name[length] = '\0';
      if (variable(env, name) != NULL)
        continue;
    }
    *end++ = (char *)(uintptr_t)text;
  }
  return end;
}

static char **environment(const struct plan *plan, const struct command *command, const char *home) {
  static char home_variable[sizeof((struct user *)0)->home + 8];
  char **env = string_list(command->extra_count + command->env.count + plan->env_count + 1);
  for (size_t i = 0; i < command->extra_count; i++)
    env[i] = command->extra[i];
  const uint32_t *own = plan->words + command->env.first;
  add_variables(plan, env, own, command->env.count);
  char **end = add_variables(plan, env, plan->env, plan->env_count);
  if (variable(env, "HOME") == NULL) {
    snprintf(home_variable, sizeof home_variable, "HOME=%s", home);
    *end = home_variable;
  }
  return env;
}

static char *const *command_words(const struct plan *plan, const struct command *command) {
  if (command->words != NULL && *command->words != NULL)
    return command->words;
  bool own = command->argv.count > 0;
  const uint32_t *offsets = own ? plan->words + command->argv.first : plan->argv;
  size_t count = own ? command->argv.count : plan->argv_count;
  char **words = string_list(count);
  for (size_t i = 0; i < count; i++)
    words[i] = (char *)(uintptr_t)plan_string(plan, offsets[i]);
  return words;
}

static const char *either(const struct plan *plan, uint32_t own, uint32_t otherwise) {
  return plan_string(plan, own != 0 ? own : otherwise);
}

// What becomes of standard error and of whoever waits, once the command is executed or cannot be.
static struct {
  int failure;
  int error_output; // -1: unchanged
} aftermath = {.error_output = -1};

static void silence(const struct command *command) {
  if (command->null == 0)
    return;
  aftermath.error_output = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (aftermath.error_output < 0 || dup2(command->null, STDERR_FILENO) < 0)
    die_errno("cannot detach the command");
}

_Noreturn static void fail(const char *path, int error) {
  if (aftermath.error_output >= 0)
    dup2(aftermath.error_output, STDERR_FILENO);
  errno = error;
  int status = error == ENOENT || error == ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
  struct stat file;
  // execve reports a missing interpreter as if the script were missing.
  if (error == ENOENT && strchr(path, '/') != NULL && stat(path, &file) == 0) {
    warning("%s exists, but the interpreter or dynamic loader it names does not", path);
    errno = error;
  }
  const char *reason = strerror(errno);
  char line[PATH_MAX + 128];
  int length = snprintf(line, sizeof line, "error: cannot execute %s: %s\n", path,
                        error == ENOENT && strchr(path, '/') == NULL ? "not found in PATH" : reason);
  write_all(STDERR_FILENO, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
  char byte = (char)status;
  if (aftermath.failure != 0)
    (void)!write(aftermath.failure, &byte, 1);
  _exit(status);
}

// A tree that names tini or dumb-init and does not bring it along relies on its runtime to have it.
static void stand_in(char *const *words, char *const *env) {
  standalone_main *program = standalone_find(words[0]);
  if (program == NULL)
    return;
  for (int fd = 3; fd < 1024; fd++)
    if ((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0)
      close(fd);
  prctl(PR_SET_CHILD_SUBREAPER, 1ul, 0, 0, 0);
  environ = (char **)(uintptr_t)env;
  _exit(program(words));
}

_Noreturn static void search(const char *name, char *const *words, char *const *env) {
  char candidate[PATH_MAX];
  const char *path = variable(env, "PATH");
  bool found = false; // something of that name that may not be executed
  for (const char *at = path == NULL ? DEFAULT_PATH : path; at != NULL;) {
    const char *end = strchr(at, ':');
    int length = (int)(end == NULL ? strlen(at) : (size_t)(end - at));
    int used = snprintf(candidate, sizeof candidate, "%.*s%s%s", length, at, length > 0 ? "/" : "./", name);
    at = end == NULL ? NULL : end + 1;
    if (used >= (int)sizeof candidate)
      continue;
    execve(candidate, words, env);
    if (errno == EACCES)
      found = true;
    else if (errno != ENOENT && errno != ENOTDIR)
      fail(candidate, errno);
    else if (access(candidate, F_OK) == 0)
      fail(candidate, errno);
  }
  if (!found)
    stand_in(words, env);
  fail(name, found ? EACCES : ENOENT);
}

// Job control needs a session with a controlling terminal; without one, a process group for signals has to
// do.
static void own_group(bool terminal, bool session) {
  if (!terminal && !session) {
    setpgid(0, 0);
    return;
  }
  setsid(); // fails for PID 1, which leads one already
  if (terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0) != 0)
    warning_errno("cannot take control of the terminal");
}

static void on_die(const char *message) {
  char byte = (char)STATUS_FAILED;
  (void)message;
  if (aftermath.failure != 0)
    (void)!write(aftermath.failure, &byte, 1);
}

static void prepare(const struct plan *plan, const struct command *command, struct user *user) {
  aftermath.failure = command->failure;
  die_set_hook(on_die);
  own_group(command->terminal, command->session);
  reset_signals();
  set_limits(plan, command);
  user_find(command->user_text != NULL ? command->user_text : either(plan, command->user, plan->config->user),
            user);
  add_groups(plan, user);
  if (command->terminal)
    (void)!fchown(STDIN_FILENO, user->uid, (gid_t)-1); // so that it can be opened again by name
  if (!command->privileged)
    restrict_early(plan);
  become(plan, command, user);
  tie(command->tied);
  change_directory(command->workdir_text != NULL ? command->workdir_text
                                                 : either(plan, command->workdir, plan->config->workdir));
}

void command_prepare(const struct plan *plan, const struct command *command) {
  struct user user;
  prepare(plan, command, &user);
}

void command_execute(const struct plan *plan, const struct command *command) {
  struct user user;
  prepare(plan, command, &user);
  char *const *words = command_words(plan, command);
  char **env = environment(plan, command, user.home);
  silence(command);
  if (!command->privileged)
    restrict_late(plan);
  if (strchr(words[0], '/') == NULL && words[0][0] != '\0')
    search(words[0], words, env);
  execve(words[0], words, env);
  int error = errno;
  if (error == ENOENT || error == ENOTDIR)
    stand_in(words, env);
  fail(words[0], error);
}
