// Sections of the launch plan that limit what the container may use.
#pragma once
#include <stdint.h>

#include "plan-security.h" // struct plan_words

#define PLAN_MAX_CGROUPS 12u

enum plan_cgroup_scope {
  PLAN_CGROUP_SCOPE_NONE,
  PLAN_CGROUP_SCOPE_SYSTEM, // systemd is asked for a scope first, which is the base then
  PLAN_CGROUP_SCOPE_USER,   // the caller's own systemd is
  PLAN_CGROUP_SCOPE_END
};

// The container's cgroup in one hierarchy: <base>/trees/<name>.
struct plan_cgroup {
  uint32_t version; // 1 or 2
  uint32_t scope;
  uint32_t base; // strings
  uint32_t name;
  struct plan_words controllers;
};

enum plan_cgroup_write_flag {
  PLAN_CGROUP_OPTIONAL = 1 << 0, // the kernel may refuse it
  PLAN_CGROUP_WRITE_FLAGS = (1 << 1) - 1
};

// One limit. In order; those of one cgroup need not be together.
struct plan_cgroup_write {
  uint32_t cgroup; // index
  uint32_t flags;
  uint32_t file; // in the cgroup
  uint32_t value;
};
