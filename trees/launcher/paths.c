#include "paths.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "syscalls.h"
#include "util.h"

#define MAX_LINKS 8

static int open_below(int root, const char *path, uint64_t flags, bool real) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  if (real)
    how.resolve |= RESOLVE_NO_SYMLINKS;
  int fd;
  do
    fd = sys_openat2(root, path, &how);
  while (fd < 0 && (errno == EINTR || errno == EAGAIN)); // EAGAIN: raced with a rename
  return fd;
}

int path_open(int root, const char *path, bool real) {
  return open_below(root, path, O_PATH, real);
}

static int directory(int root, const char *path, bool real, int depth);

static int parent(int root, const char *path, bool real, const char **name, int depth) {
  char above[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof above)
    die("cannot use %.64s…: the path is too long", path);
  const char *slash = strrchr(path, '/');
  *name = slash + 1;
  memcpy(above, path, (size_t)(slash - path));
  above[slash - path] = '\0';
  return directory(root, above[0] == '\0' ? "/" : above, real, depth);
}

// Where a symlink whose target is missing points, as a path inside the root. False if it is not a symlink.
static bool follow(int dir, const char *name, const char *path, char result[PATH_MAX]) {
  char link[PATH_MAX];
  ssize_t length = readlinkat(dir, name, link, sizeof link - 1);
  if (length <= 0)
    return false;
  link[length] = '\0';
  size_t above = link[0] == '/' ? 0 : (size_t)(name - path);
  if (above + (size_t)length >= PATH_MAX)
    return false;
  memcpy(result, path, above);
  memcpy(result + above, link, (size_t)length + 1);
  return true;
}

static void check_depth(const char *path, int depth) {
  if (depth > MAX_LINKS)
    die("cannot make the mount point %s: too many symbolic links", path);
}

// mkdir -p below the root. A dangling symlink on the way is followed (inside the root) and its target made.
static int directory(int root, const char *path, bool real, int depth) {
  int fd = open_below(root, path, O_PATH | O_DIRECTORY, real);
  if (fd >= 0)
    return fd;
  if (errno == ELOOP && real)
    die("refused: %s in the tree is a symbolic link, or lies behind one", path);
  if (errno != ENOENT)
    die_errno("cannot open the mount point %s in the tree", path);
  check_depth(path, depth);
  const char *name;
  CLEANUP_FD int dir = parent(root, path, real, &name, depth + 1);
  if (mkdirat(dir, name, 0755) == 0 || errno == EEXIST) {
    fd = open_below(root, path, O_PATH | O_DIRECTORY, real);
    if (fd >= 0)
      return fd;
    char next[PATH_MAX];
    if (!real && errno == ENOENT && follow(dir, name, path, next))
      return directory(root, next, real, depth + 1);
  }
  die_errno("cannot make the mount point %s in the tree", path);
}

static int file(int root, const char *path, bool real, int depth) {
  int fd = path_open(root, path, real);
  if (fd >= 0)
    return fd;
  if (errno == ELOOP && real)
    die("refused: %s in the tree is a symbolic link, or lies behind one", path);
  if (errno != ENOENT)
    die_errno("cannot open the mount point %s in the tree", path);
  check_depth(path, depth);
  const char *name;
  CLEANUP_FD int dir = parent(root, path, real, &name, depth + 1);
  CLEANUP_FD int made = openat(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644);
  if (made < 0) {
    char next[PATH_MAX];
    if (!real && errno == EEXIST && follow(dir, name, path, next))
      return file(root, next, real, depth + 1);
    die_errno("cannot make the mount point %s in the tree", path);
  }
  fd = path_open(root, path, real);
  if (fd < 0)
    die_errno("cannot open the mount point %s in the tree", path);
  return fd;
}

int path_target(int root, const char *path, enum target_kind kind, bool real) {
  return kind == TARGET_DIRECTORY ? directory(root, path, real, 0) : file(root, path, real, 0);
}

int path_parent(int root, const char *path, bool real, const char **name) {
  return parent(root, path, real, name, 0);
}
