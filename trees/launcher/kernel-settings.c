#include "kernel-settings.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "syscalls.h"
#include "util.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

// Relative to a procfs that was checked, and not through anything mounted or linked in it (CVE-2025-52881).
static int write_setting(int proc, const char *path, const char *value) {
  struct open_how how = {.flags = O_WRONLY | O_CLOEXEC,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
  CLEANUP_FD int fd = sys_openat2(proc, path, &how);
  if (fd < 0)
    return -1;
  return write(fd, value, strlen(value)) < 0 ? -1 : 0;
}

static void set_sysctl(const struct plan *plan, int proc, const struct plan_sysctl *setting) {
  char path[256];
  const char *name = plan_string(plan, setting->name);
  if (snprintf(path, sizeof path, "sys/%s", name) >= (int)sizeof path)
    die("cannot set the kernel setting %s: its name is too long", name);
  if (write_setting(proc, path, plan_string(plan, setting->value)) != 0)
    die_errno("cannot set the kernel setting %s to %s", name, plan_string(plan, setting->value));
}

// This process stays outside of the new namespace, or enters it when it executes the init; its children are
// in it.
static void set_clocks(const struct plan_security *security, int proc) {
  char offsets[128];
  snprintf(offsets, sizeof offsets, "monotonic %lld 0\nboottime %lld 0\n",
           (long long)security->monotonic_offset, (long long)security->boottime_offset);
  if (sys_unshare(CLONE_NEWTIME) != 0)
    die_errno("cannot create the container's time namespace: unshare");
  // What belongs to a process that cannot be dumped belongs to the host's root. Nobody else is in here yet.
  if (prctl(PR_SET_DUMPABLE, 1ul, 0, 0, 0) != 0 || write_setting(proc, "self/timens_offsets", offsets) != 0 ||
      prctl(PR_SET_DUMPABLE, 0ul, 0, 0, 0) != 0)
    die_errno("cannot set the container's clocks: timens_offsets");
}

bool kernel_settings_of_network(const struct plan *plan) {
  for (size_t i = 0; i < plan->sysctl_count; i++)
    if (strncmp(plan_string(plan, plan->sysctl[i].name), "net/", 4) == 0)
      return true;
  return false;
}

void kernel_settings_apply(const struct plan *plan, int proc) {
  for (size_t i = 0; i < plan->sysctl_count; i++)
    set_sysctl(plan, proc, &plan->sysctl[i]);
  if (plan->security != NULL && (plan->security->flags & PLAN_SECURITY_TIME) != 0)
    set_clocks(plan->security, proc);
}
