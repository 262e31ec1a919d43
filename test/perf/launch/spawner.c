// Runs commands in turns and prints what each run took. Starting them from here costs 0.1 ms; from Node it
// would be 1 ms.
//   spawner ROUNDS WARM GAP_MS :: COMMAND… :: COMMAND…
// A line a run: number of the command, microseconds of wall clock, microseconds of CPU (it and those it
// waited for), exit status. Standard input and output of the commands are /dev/null.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_COMMANDS 32

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void run(int number, char **argv, char **env, const posix_spawn_file_actions_t *actions, int keep) {
  pid_t pid;
  int status;
  struct rusage usage;
  int64_t start = now();
  int error = posix_spawn(&pid, argv[0], actions, NULL, argv, env);
  if (error != 0) {
    fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(error));
    exit(1);
  }
  while (wait4(pid, &status, 0, &usage) < 0)
    if (errno != EINTR)
      exit(1);
  int64_t took = now() - start;
  long cpu = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
             usage.ru_stime.tv_usec;
  if (keep)
    printf("%d %lld %ld %d\n", number, (long long)took / 1000, cpu,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv, char **env) {
  char **commands[MAX_COMMANDS];
  int count = 0;
  for (int i = 4; i < argc; i++)
    if (strcmp(argv[i], "::") == 0 && count < MAX_COMMANDS) {
      commands[count++] = argv + i + 1;
      argv[i] = NULL;
    }
  if (argc < 6 || count == 0) {
    fputs("usage: spawner ROUNDS WARM GAP_MS :: COMMAND... :: COMMAND...\n", stderr);
    return 2;
  }
  int rounds = atoi(argv[1]);
  int warm = atoi(argv[2]);
  useconds_t gap = (useconds_t)atoi(argv[3]) * 1000;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  for (int round = -warm; round < rounds; round++)
    for (int i = 0; i < count; i++) {
      if (gap > 0)
        usleep(gap);
      run(i, commands[i], env, &actions, round >= 0);
    }
  return 0;
}
