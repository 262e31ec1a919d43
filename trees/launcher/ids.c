#include "ids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define MAP_LINE 36

static void write_file(pid_t pid, const char *name, const char *content) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  // One write: the kernel takes the whole map at once.
  if (fd < 0 || write(fd, content, strlen(content)) < 0)
    die_errno("cannot set the container's user ids: %s", path);
}

static void write_map(pid_t pid, const char *name, const struct plan_id_map *map, size_t count,
                      bool identity) {
  char *text = malloc(count * MAP_LINE + 1);
  if (text == NULL)
    die_errno("cannot set the container's user ids");
  size_t used = 0;
  for (size_t i = 0; i < count; i++)
    used += (size_t)snprintf(text + used, MAP_LINE, "%u %u %u\n", map[i].inside,
                             identity ? map[i].inside : map[i].outside, map[i].count);
  write_file(pid, name, text);
  free(text);
}

// Setuid programs of the system's (package uidmap): they know which ids the caller may hand out.
static void run_helper(const char *program, pid_t pid, const struct plan_id_map *map, size_t count) {
  char *words = malloc((count * 3 + 1) * 12);
  char **argv = calloc(count * 3 + 3, sizeof *argv);
  if (words == NULL || argv == NULL)
    die_errno("cannot set the container's user ids");
  char *at = words;
  size_t argc = 0;
  argv[argc++] = (char *)(uintptr_t)program;
  argv[argc++] = at;
  at += snprintf(at, 12, "%d", (int)pid) + 1;
  for (size_t i = 0; i < count; i++) {
    const uint32_t numbers[] = {map[i].inside, map[i].outside, map[i].count};
    for (size_t k = 0; k < 3; k++) {
      argv[argc++] = at;
      at += snprintf(at, 12, "%u", numbers[k]) + 1;
    }
  }
  pid_t helper = fork();
  if (helper == 0) {
    char *env[] = {NULL};
    execve(program, argv, env);
    die_errno("cannot execute %s (package uidmap)", program);
  }
  int status = 0;
  if (helper < 0 || RETRY(waitpid(helper, &status, 0)) < 0)
    die_errno("cannot run %s", program);
  if (status != 0)
    die("cannot set the container's user ids: %s refused; /etc/subuid and /etc/subgid say which ids may be "
        "used",
        program);
  free(words);
  free(argv);
}

void ids_write(pid_t pid, const struct plan *plan, bool identity) {
  if (plan->config->userns == PLAN_USERNS_RANGES) {
    write_map(pid, "uid_map", plan->uid_map, plan->uid_map_count, identity);
    write_map(pid, "gid_map", plan->gid_map, plan->gid_map_count, identity);
    return;
  }
  if (plan->config->userns == PLAN_USERNS_HELPED) {
    run_helper("/usr/bin/newuidmap", pid, plan->uid_map, plan->uid_map_count);
    run_helper("/usr/bin/newgidmap", pid, plan->gid_map, plan->gid_map_count);
    return;
  }
  struct plan_id_map user = {.outside = geteuid(), .count = 1};
  struct plan_id_map group = {.outside = getegid(), .count = 1};
  // Without this the caller could drop a group that denies it access (CVE-2014-8989).
  write_file(pid, "setgroups", "deny");
  write_map(pid, "uid_map", &user, 1, false);
  write_map(pid, "gid_map", &group, 1, false);
}

int ids_open_namespace(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    die_errno("cannot open %s", path);
  return fd;
}
