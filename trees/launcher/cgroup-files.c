#include "cgroup-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "util.h"

#define MAX_DEPTH 16
#define MAX_NUMBER 200

int cgroup_write(int dir, const char *file, const char *value) {
  CLEANUP_FD int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return -1;
  return RETRY(write(fd, value, strlen(value))) < 0 ? -1 : 0;
}

int cgroup_read(int dir, const char *file, char *buffer, size_t size) {
  CLEANUP_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return -1;
  ssize_t count = RETRY(read(fd, buffer, size - 1));
  if (count < 0)
    return -1;
  buffer[count] = '\0';
  return 0;
}

unsigned long cgroup_number(int dir, const char *file, const char *key, unsigned long missing) {
  char text[4096];
  size_t length = strlen(key);
  if (cgroup_read(dir, file, text, sizeof text) != 0)
    return missing;
  for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, key, length) == 0 && line[length] == ' ')
      return strtoul(line + length + 1, NULL, 10);
  }
  return missing;
}

bool cgroup_has_word(const char *list, const char *word) {
  size_t length = strlen(word);
  while (*list != '\0') {
    size_t size = strcspn(list, " \n");
    if (size == length && memcmp(list, word, size) == 0)
      return true;
    list += size;
    list += strspn(list, " \n");
  }
  return false;
}

int cgroup_open(int at, const char *name) {
  return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static bool still_there(int parent, const char *name, int dir) {
  struct stat opened;
  struct stat named;
  return fstat(dir, &opened) == 0 && fstatat(parent, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         opened.st_ino == named.st_ino;
}

// 1: not to be had.
static int claim(int parent, const char *name, int *dir) {
  for (int tries = 0; tries < 100; tries++) {
    bool fresh = mkdirat(parent, name, 0755) == 0;
    if (!fresh && errno != EEXIST)
      return -1;
    int fd = cgroup_open(parent, name);
    if (fd < 0 && errno == ENOENT)
      continue; // removed by somebody who found it stale
    if (fd < 0)
      return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      close(fd);
      return 1;
    }
    if (fresh && still_there(parent, name, fd)) {
      *dir = fd;
      return 0;
    }
    // Left behind by a launcher that was killed: counters and limits are to begin anew.
    bool removed = fresh || cgroup_remove(parent, name) == 0;
    close(fd);
    if (!removed)
      return 1;
  }
  return 1;
}

int cgroup_claim(int parent, const char *name, char made[160]) {
  for (int number = 1; number <= MAX_NUMBER; number++) {
    int dir = -1;
    snprintf(made, 160, number == 1 ? "%.128s" : "%.128s.%d", name, number);
    int result = claim(parent, made, &dir);
    if (result <= 0)
      return result < 0 ? -1 : dir;
  }
  errno = EEXIST;
  return -1;
}

static int remove_below(int parent, const char *name, int depth) {
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
    return 0;
  // Busy, too, when it has others below it (an init that manages cgroups made them).
  if (depth >= MAX_DEPTH || (errno != EBUSY && errno != ENOTEMPTY))
    return -1;
  int dir = cgroup_open(parent, name);
  DIR *stream = dir < 0 ? NULL : fdopendir(dir);
  if (stream == NULL) {
    close_fd(&dir);
    return -1;
  }
  for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
    if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      remove_below(dir, entry->d_name, depth + 1);
  closedir(stream);
  return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int cgroup_remove(int parent, const char *name) {
  return remove_below(parent, name, 0);
}

const char *cgroup_problem(const char *format, ...) {
  static char text[512];
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  int used = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (used >= 0 && used < (int)sizeof text)
    snprintf(text + used, sizeof text - (size_t)used, ": %s", strerror(error));
  return text;
}
