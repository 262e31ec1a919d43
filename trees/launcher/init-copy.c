#include "init-copy.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "syscalls.h"
#include "util.h"

static void init_path(char path[PATH_MAX]) {
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 16);
  if (length <= 0)
    die_errno("cannot find trees-init: /proc/self/exe");
  path[length] = '\0';
  char *slash = strrchr(path, '/');
  strcpy(slash == NULL ? path : slash + 1, "trees-init");
}

static int seal(const char *path, const char *name) {
  CLEANUP_FD int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0)
    die_errno("cannot open %s", path);
  int copy = sys_memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (copy < 0 && errno == EINVAL) // Linux before 6.3: always executable
    copy = sys_memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (copy < 0)
    die_errno("cannot copy %s: memfd_create", path);
  char buffer[32768];
  ssize_t count;
  while ((count = RETRY(read(file, buffer, sizeof buffer))) > 0)
    if (write_all(copy, buffer, (size_t)count) != 0)
      die_errno("cannot copy %s", path);
  if (count < 0)
    die_errno("cannot read %s", path);
  if (fchmod(copy, 0555) != 0 ||
      fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    die_errno("cannot seal the copy of %s", path);
  return copy;
}

int init_copy(void) {
  char path[PATH_MAX];
  init_path(path);
  return seal(path, "trees-init");
}

int launcher_copy(void) {
  return seal("/proc/self/exe", "trees-launch");
}
