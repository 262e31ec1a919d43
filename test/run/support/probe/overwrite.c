// Tries for two seconds to open for writing the programs of all processes that it sees, and the descriptors
// that lead to them; prints how often it tried, or what it could open.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long tried;

static void attempt(const char *path) {
  char target[PATH_MAX] = "";
  if (readlink(path, target, sizeof target - 1) < 0)
    return;
  // Programs of the tree lie in the container's own overlay.
  if (strncmp(target, "/bin/", 5) == 0)
    return;
  tried++;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd >= 0 && write(fd, "#!", 2) == 2) {
    printf("overwrote %s\n", target);
    exit(1);
  }
  if (fd >= 0)
    close(fd);
  // Held open until the process has ended, when it is no longer busy.
  int held = open(path, O_PATH | O_CLOEXEC);
  if (held < 0)
    return;
  char again[64];
  snprintf(again, sizeof again, "/proc/self/fd/%d", held);
  usleep(200);
  fd = open(again, O_WRONLY | O_CLOEXEC);
  if (fd >= 0 && write(fd, "#!", 2) == 2) {
    printf("overwrote %s when it had ended\n", target);
    exit(1);
  }
  if (fd >= 0)
    close(fd);
  close(held);
}

int main(void) {
  time_t end = time(NULL) + 2;
  while (time(NULL) < end) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(proc)) != NULL) {
      char path[300];
      if (atoi(entry->d_name) <= 0)
        continue;
      snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
      attempt(path);
    }
    closedir(proc);
  }
  printf("tried %ld\n", tried);
  return 0;
}
