// Section LOG of the launch plan: where the output of services goes.
#pragma once
#include <stdint.h>

#include "plan-security.h" // struct plan_words

#define PLAN_LOG_MAX_COMPRESS 14u

enum plan_log_flag {
  PLAN_LOG_PREFIX = 1 << 0,   // label lines on the console
  PLAN_LOG_BLOCKING = 1 << 1, // wait for a slow reader of the console
  PLAN_LOG_JOURNALD = 1 << 2, // forward to it
  PLAN_LOG_SYSLOG = 1 << 3,
  PLAN_LOG_FLAGS = (1 << 4) - 1
};

struct plan_log {
  uint64_t max_size;          // bytes a file, 0: no limit
  uint64_t rate;              // bytes a second and service, 0: no limit
  uint64_t burst;             // bytes, 0: as many as rate gives in a second
  uint32_t directory;         // string, absolute or empty: not stored
  uint32_t instance;          // string: name in forwarded lines
  uint32_t max_files;         // rotated files that are kept of each service
  uint32_t flags;             // enum plan_log_flag
  struct plan_words compress; // command that compresses the file named by its last word
};
