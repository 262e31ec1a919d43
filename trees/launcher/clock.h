// Milliseconds of the clock that never jumps.
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t clock_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}
