// How much a service may log: a token bucket of bytes. What is over it is dropped by the line, and said.
#pragma once
#include "log-line.h"

#define LOG_LIMIT_NOTICE 160

struct log_limit {
  uint64_t rate;  // bytes a second, 0: no limit
  uint64_t burst; // bytes
  double tokens;
  struct timespec last;
  bool dropping; // the line that goes on was dropped from its beginning
  uint64_t lines;
  uint64_t bytes;
};

void log_limit_init(struct log_limit *limit, uint64_t rate, uint64_t burst);
bool log_limit_allows(struct log_limit *limit, const struct log_line *line);
// Says what was dropped since the last notice; 0: nothing was.
size_t log_limit_notice(struct log_limit *limit, char text[LOG_LIMIT_NOTICE]);
