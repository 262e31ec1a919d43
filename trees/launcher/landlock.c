#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

// The same everywhere; C libraries of old do not name them.
#define NR_CREATE_RULESET 444
#define NR_ADD_RULE 445
#define NR_RESTRICT_SELF 446
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

// As the kernel's; older headers lack the later rights.
struct ruleset_attributes {
  uint64_t handled_access_fs;
};
struct path_beneath {
  uint64_t allowed_access;
  int32_t parent_fd;
} __attribute__((packed));

// EXECUTE, WRITE_FILE, READ_FILE, TRUNCATE, IOCTL_DEV: all that a rule on something else than a directory may
// have.
#define FILE_ACCESS (1u << 0 | 1u << 1 | 1u << 2 | 1u << 14 | 1u << 15)

// What this version of Landlock can handle.
static uint64_t supported(long version) {
  static const unsigned bits[] = {[1] = 13, [2] = 14, [3] = 15, [4] = 15, [5] = 16};
  size_t last = sizeof bits / sizeof *bits - 1;
  return (1ull << bits[(size_t)version > last ? last : (size_t)version]) - 1;
}

static void add_rule(int ruleset, const char *path, uint64_t access) {
  CLEANUP_FD int place = open(path, O_PATH | O_CLOEXEC);
  struct stat status;
  if (place < 0 || fstat(place, &status) != 0)
    die_errno("cannot allow access to %s", path);
  if (!S_ISDIR(status.st_mode))
    access &= FILE_ACCESS;
  struct path_beneath rule = {.allowed_access = access, .parent_fd = place};
  if (access != 0 && syscall(NR_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) != 0)
    die_errno("cannot allow access to %s: landlock_add_rule", path);
}

void landlock_restrict(const struct plan *plan) {
  if (plan->landlock_count == 0)
    return;
  long version = syscall(NR_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
  if (version < 1) {
    static const char reason[] = "this kernel has no Landlock (it needs Linux 5.13 with "
                                 "CONFIG_SECURITY_LANDLOCK, and landlock in the lsm= parameter)";
    if ((plan->security->flags & PLAN_SECURITY_LANDLOCK_TRY) == 0)
      die("cannot restrict access to files: %s", reason);
    warning("access to files is not restricted: %s", reason);
    return;
  }
  uint64_t handled = plan->security->landlock_handled & supported(version);
  struct ruleset_attributes attributes = {.handled_access_fs = handled};
  CLEANUP_FD int ruleset = (int)syscall(NR_CREATE_RULESET, &attributes, sizeof attributes, 0);
  if (ruleset < 0)
    die_errno("cannot restrict access to files: landlock_create_ruleset");
  for (size_t i = 0; i < plan->landlock_count; i++)
    add_rule(ruleset, plan_string(plan, plan->landlock[i].path), plan->landlock[i].access & handled);
  if (syscall(NR_RESTRICT_SELF, ruleset, 0) != 0)
    die_errno("cannot restrict access to files: landlock_restrict_self");
}
