/*
 * Preloaded into a process (LD_PRELOAD): fails a system call on files below a directory with EIO, as a disk
 * does that is about to die. strace could do so only to all files alike, pipes and descriptors of events
 * included. FAULT_BELOW   the directory, an absolute path without symbolic links FAULT_CALL    read, write,
 * sync, rename, link or mkdir FAULT_AT      which of those calls fails, from 1; 0 counts only FAULT_STAYS
 * set: all calls of this kind after it fail, too FAULT_COUNTS  a file that `CALL COUNT` is appended to when
 * the process ends FAULT_ROOMY   set: file systems say that they have room for a million files more
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long counted;

static int is_below(const char *path) {
  const char *directory = getenv("FAULT_BELOW");
  size_t length = directory == NULL ? 0 : strlen(directory);
  return length > 0 && strncmp(path, directory, length) == 0;
}

static int fails(const char *call) {
  const char *wanted = getenv("FAULT_CALL");
  if (wanted == NULL || strcmp(wanted, call) != 0)
    return 0;
  const char *at = getenv("FAULT_AT");
  long position = at == NULL ? 0 : atol(at);
  long number = atomic_fetch_add(&counted, 1) + 1;
  if (position == 0 || number < position || (number > position && getenv("FAULT_STAYS") == NULL))
    return 0;
  errno = EIO;
  return 1;
}

static int fails_fd(const char *call, int fd) {
  struct stat info;
  char link[64];
  char path[PATH_MAX];
  int kept = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  int regular = fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
  errno = kept;
  if (size < 0 || !regular)
    return 0;
  path[size] = '\0';
  return is_below(path) && fails(call);
}

/* A path that is relative to a descriptor is judged by that. */
static int fails_at(const char *call, int fd, const char *path) {
  if (path[0] == '/')
    return is_below(path) && fails(call);
  return fd == AT_FDCWD ? 0 : fails_fd(call, fd);
}

#define NEXT(type, name, parameters)                                                                         \
  static type(*next) parameters;                                                                             \
  if (next == NULL)                                                                                          \
  next = (type(*) parameters)dlsym(RTLD_NEXT, name)

#define WRAP(type, name, check, parameters, arguments)                                                       \
  type name parameters {                                                                                     \
    NEXT(type, #name, parameters);                                                                           \
    return check ? -1 : next arguments;                                                                      \
  }

WRAP(ssize_t, read, fails_fd("read", fd), (int fd, void *to, size_t size), (fd, to, size))
WRAP(ssize_t, pread, fails_fd("read", fd), (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
WRAP(ssize_t, pread64, fails_fd("read", fd), (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
WRAP(ssize_t, write, fails_fd("write", fd), (int fd, const void *from, size_t size), (fd, from, size))
WRAP(ssize_t, pwrite, fails_fd("write", fd), (int fd, const void *from, size_t size, off_t at),
     (fd, from, size, at))
WRAP(ssize_t, pwrite64, fails_fd("write", fd), (int fd, const void *from, size_t size, off64_t at),
     (fd, from, size, at))
WRAP(int, fsync, fails_fd("sync", fd), (int fd), (fd))
WRAP(int, fdatasync, fails_fd("sync", fd), (int fd), (fd))
WRAP(int, syncfs, fails_fd("sync", fd), (int fd), (fd))
WRAP(int, rename, fails_at("rename", AT_FDCWD, to), (const char *from, const char *to), (from, to))
WRAP(int, renameat, fails_at("rename", tofd, to), (int fromfd, const char *from, int tofd, const char *to),
     (fromfd, from, tofd, to))
WRAP(int, renameat2, fails_at("rename", tofd, to),
     (int fromfd, const char *from, int tofd, const char *to, unsigned int flags),
     (fromfd, from, tofd, to, flags))
WRAP(int, link, fails_at("link", AT_FDCWD, to), (const char *from, const char *to), (from, to))
WRAP(int, linkat, fails_at("link", tofd, to),
     (int fromfd, const char *from, int tofd, const char *to, int flags), (fromfd, from, tofd, to, flags))
WRAP(int, mkdir, fails_at("mkdir", AT_FDCWD, path), (const char *path, mode_t mode), (path, mode))
WRAP(int, mkdirat, fails_at("mkdir", fd, path), (int fd, const char *path, mode_t mode), (fd, path, mode))

#define WRAP_STATFS(name, type)                                                                              \
  int name(const char *path, struct type *into) {                                                            \
    NEXT(int, #name, (const char *path, struct type *into));                                                 \
    int result = next(path, into);                                                                           \
    if (result == 0 && getenv("FAULT_ROOMY") != NULL)                                                        \
      into->f_files = into->f_ffree = 1000000;                                                               \
    return result;                                                                                           \
  }

WRAP_STATFS(statfs, statfs)
WRAP_STATFS(statfs64, statfs64)

__attribute__((destructor)) static void tell(void) {
  const char *file = getenv("FAULT_COUNTS");
  FILE *out = file == NULL ? NULL : fopen(file, "ae");
  if (out == NULL)
    return;
  fprintf(out, "%s %ld\n", getenv("FAULT_CALL"), atomic_load(&counted));
  fclose(out);
}
