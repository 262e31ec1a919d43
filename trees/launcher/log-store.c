#include "log-store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util.h"

static int make_directory(const char *path) {
  char part[PATH_MAX];
  if ((size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part)
    die("cannot store the log: the path is too long: %s", path);
  for (char *at = part + 1; *at != '\0'; at++) {
    if (*at != '/')
      continue;
    *at = '\0';
    if (mkdir(part, 0755) != 0 && errno != EEXIST)
      die_errno("cannot make the directory %s for the log", part);
    *at = '/';
  }
  // Only the instance's own directory is private: those above may be the machine's.
  if (mkdir(part, 0700) != 0 && errno != EEXIST)
    die_errno("cannot make the directory %s for the log", part);
  int fd = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    die_errno("cannot open the directory %s for the log", part);
  return fd;
}

void log_store_open(struct log_store *store, const struct plan *plan, const struct plan_log *config) {
  *store = (struct log_store){.directory = -1, .max_size = config->max_size, .max_files = config->max_files};
  const char *directory = plan_string(plan, config->directory);
  if (directory[0] != '\0')
    store->directory = make_directory(directory);
  store->compress_words = config->compress.count;
  for (uint32_t i = 0; i < config->compress.count; i++)
    store->compress[i] = (char *)(uintptr_t)plan_word(plan, config->compress, i);
}
