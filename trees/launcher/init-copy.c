#include "init-copy.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
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

static bool covers(const struct plan_id_map *map, size_t count, uint32_t id) {
  for (size_t i = 0; i < count; i++)
    if (id >= map[i].outside && id - map[i].outside < map[i].count)
      return true;
  return false;
}

// Whether somebody in the container may have the ids of those who may write to the file. Otherwise not even
// all capabilities there count for it.
static bool within_reach(const struct plan *plan, int file) {
  struct stat status;
  return plan->config->userns != PLAN_USERNS_RANGES || fstat(file, &status) != 0 ||
         (status.st_mode & S_IWOTH) != 0 || covers(plan->uid_map, plan->uid_map_count, status.st_uid) ||
         covers(plan->gid_map, plan->gid_map_count, status.st_gid);
}

// The file alone, on a read-only mount that has no name. Only who may mount can make one.
static int mount_alone(const char *path) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};
  int file = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (file < 0 || sys_mount_setattr(file, "", AT_EMPTY_PATH, &attributes) == 0)
    return file;
  close(file);
  return -1;
}

static bool is_sealed(int fd) {
  return fcntl(fd, F_GET_SEALS) > 0;
}

int init_open(const struct plan *plan, int before) {
  char path[PATH_MAX];
  if (before >= 0 && (is_sealed(before) || !within_reach(plan, before)))
    return before;
  if (before >= 0)
    snprintf(path, sizeof path, "/proc/self/fd/%d", before);
  else
    init_path(path);
  int file = before >= 0 ? -1 : mount_alone(path);
  if (file >= 0 && !within_reach(plan, file))
    return file;
  int copy = seal(path, "trees-init");
  close_fd(&file);
  close_fd(&before);
  return copy;
}

int launcher_copy(void) {
  return seal("/proc/self/exe", "trees-launch");
}
