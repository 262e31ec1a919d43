#include "mounts.h"

#include <stdio.h>
#include <string.h>

#include "plan.h"
#include "syscalls.h"
#include "util.h"

static uint64_t attributes_of(uint32_t op_flags) {
  return ((op_flags & PLAN_OPF_RDONLY) != 0 ? MOUNT_ATTR_RDONLY : 0u) |
         ((op_flags & PLAN_OPF_NOSUID) != 0 ? MOUNT_ATTR_NOSUID : 0u) |
         ((op_flags & PLAN_OPF_NODEV) != 0 ? MOUNT_ATTR_NODEV : 0u) |
         ((op_flags & PLAN_OPF_NOEXEC) != 0 ? MOUNT_ATTR_NOEXEC : 0u);
}

static int set_option(int fs, const char *option) {
  char key[64];
  const char *equals = strchr(option, '=');
  if (equals == NULL)
    return sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
  snprintf(key, sizeof key, "%.*s", (int)(equals - option), option);
  return sys_fsconfig(fs, FSCONFIG_SET_STRING, key, equals + 1, 0);
}

int mounts_new(const char *type, const char *const options[], uint32_t op_flags) {
  CLEANUP_FD int fs = sys_fsopen(type);
  if (fs < 0)
    return -1;
  for (; *options != NULL; options++)
    if (set_option(fs, *options) != 0)
      return -1;
  if (sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
    return -1;
  return sys_fsmount(fs, (unsigned)attributes_of(op_flags));
}

#define MAX_PROC_OPTIONS 4

int mounts_proc(const char *list, uint32_t op_flags, const char *where) {
  char text[256];
  const char *options[MAX_PROC_OPTIONS + 1] = {NULL};
  size_t count = 0;
  char *state;
  if (snprintf(text, sizeof text, "%s", list) >= (int)sizeof text)
    die("cannot mount a proc on %s: its options are too long", where);
  for (char *word = strtok_r(text, ",", &state); word != NULL; word = strtok_r(NULL, ",", &state)) {
    if (count == MAX_PROC_OPTIONS)
      die("cannot mount a proc on %s: it has too many options", where);
    options[count++] = word;
  }
  int mount = mounts_new("proc", options, op_flags);
  if (mount < 0)
    die_errno("cannot mount a proc on %s", where);
  return mount;
}

void mounts_attach(int mount, int target, const char *what, const char *where) {
  if (sys_move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    die_errno("cannot mount %s on %s", what, where);
}

void mounts_restrict(int mount, uint32_t op_flags, const char *what) {
  struct mount_attr attributes = {.attr_set = attributes_of(op_flags)};
  if (attributes.attr_set == 0)
    return;
  unsigned flags = AT_EMPTY_PATH | ((op_flags & PLAN_OPF_RECURSIVE) != 0 ? AT_RECURSIVE : 0);
  if (sys_mount_setattr(mount, "", flags, &attributes) != 0)
    die_errno("cannot set mount attributes of %s", what);
}

void mounts_take(int mount, uint32_t op_flags, const char *what) {
  struct mount_attr attributes = {.attr_set = attributes_of(op_flags)};
  if ((op_flags & PLAN_OPF_SHARED) == 0)
    attributes.propagation = (op_flags & PLAN_OPF_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE;
  unsigned flags = AT_EMPTY_PATH | ((op_flags & PLAN_OPF_RECURSIVE) != 0 ? AT_RECURSIVE : 0);
  if (sys_mount_setattr(mount, "", flags, &attributes) != 0)
    die_errno("cannot set mount attributes of %s", what);
}

int mounts_clone(int place, const char *what, uint32_t op_flags) {
  bool recursive = (op_flags & PLAN_OPF_RECURSIVE) != 0;
  int fd = sys_open_tree(
      place, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0));
  if (fd < 0)
    die_errno("cannot copy the mount of %s", what);
  mounts_restrict(fd, op_flags, what);
  return fd;
}
