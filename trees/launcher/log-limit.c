#include "log-limit.h"

#include <stdio.h>

void log_limit_init(struct log_limit *limit, uint64_t rate, uint64_t burst) {
  *limit = (struct log_limit){.rate = rate, .burst = burst > 0 ? burst : rate};
  limit->tokens = (double)limit->burst;
}

static void refill(struct log_limit *limit, const struct timespec *now) {
  double elapsed =
      (double)(now->tv_sec - limit->last.tv_sec) + (double)(now->tv_nsec - limit->last.tv_nsec) / 1e9;
  // A clock that was set back gives nothing.
  if (limit->last.tv_sec != 0 && elapsed > 0)
    limit->tokens += elapsed * (double)limit->rate;
  if (limit->tokens > (double)limit->burst)
    limit->tokens = (double)limit->burst;
  limit->last = *now;
}

bool log_limit_allows(struct log_limit *limit, const struct log_line *line) {
  if (limit->rate == 0)
    return true;
  refill(limit, &line->time);
  double cost = (double)line->size + 1;
  // A bucket smaller than the line would never let it through: a full one lets any line.
  bool enough = limit->tokens >= cost || limit->tokens >= (double)limit->burst;
  bool allowed = enough && !limit->dropping;
  limit->dropping = !allowed && line->partial;
  if (allowed) {
    limit->tokens -= cost;
    return true;
  }
  limit->lines += !line->partial;
  limit->bytes += line->size + 1;
  return false;
}

size_t log_limit_notice(struct log_limit *limit, char text[LOG_LIMIT_NOTICE]) {
  if (limit->bytes == 0)
    return 0;
  int size = snprintf(
      text, LOG_LIMIT_NOTICE, "trees: dropped %llu lines (%llu bytes): over the limit of %llu bytes/s",
      (unsigned long long)limit->lines, (unsigned long long)limit->bytes, (unsigned long long)limit->rate);
  limit->lines = 0;
  limit->bytes = 0;
  return (size_t)size;
}
