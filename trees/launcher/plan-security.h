// Sections of the launch plan that restrict what the command can do beyond namespaces and capabilities.
#pragma once
#include <linux/filter.h>
#include <stdint.h>

// A list of strings: entries first…first+count-1 of the words.
struct plan_words {
  uint32_t first;
  uint32_t count;
};

enum plan_security_flag {
  PLAN_SECURITY_OOM_SCORE = 1 << 0,    // oom_score_adj is set
  PLAN_SECURITY_KEYRING = 1 << 1,      // a session keyring of the container's own
  PLAN_SECURITY_TIME = 1 << 2,         // a time namespace with these offsets
  PLAN_SECURITY_UMASK = 1 << 3,        // umask is set
  PLAN_SECURITY_SPECULATION = 1 << 4,  // seccomp: leave the mitigations of speculative execution alone
  PLAN_SECURITY_SECCOMP_LOG = 1 << 5,  // seccomp: log all that is not allowed
  PLAN_SECURITY_LANDLOCK_TRY = 1 << 6, // where the kernel has no Landlock: warn and go on
  PLAN_SECURITY_FLAGS = (1 << 7) - 1
};

#define PLAN_MAX_OFFSET (1ll << 40) // seconds are far below; the kernel's own limit is lower

struct plan_security {
  uint32_t flags;
  int32_t oom_score_adj;     // -1000 to 1000
  int64_t monotonic_offset;  // seconds
  int64_t boottime_offset;   // seconds
  uint64_t landlock_handled; // LANDLOCK_ACCESS_FS_*: what only rules allow
  uint32_t umask;
  struct plan_words groups; // supplementary groups by name or number
};

// What is allowed below a path; all that the ruleset handles and no rule allows is denied.
struct plan_landlock_rule {
  uint32_t path; // in the container
  uint32_t reserved;
  uint64_t access; // LANDLOCK_ACCESS_FS_*
};

struct plan_sysctl {
  uint32_t name; // below /proc/sys, with slashes
  uint32_t value;
};
