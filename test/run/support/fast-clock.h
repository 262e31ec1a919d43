// A clock that runs FAST_CLOCK times as fast, for programs that are compiled with `-include` of this file:
// what they do in a day happens in seconds.
#pragma once
#include <sys/epoll.h>
#include <time.h>

static inline int fast_clock_gettime(clockid_t clock, struct timespec *time) {
  int result = clock_gettime(clock, time);
  if (clock == CLOCK_MONOTONIC) {
    unsigned long long ns =
        (unsigned long long)time->tv_sec % 1000000 * 1000000000ull + (unsigned long long)time->tv_nsec;
    ns *= FAST_CLOCK;
    time->tv_sec = (time_t)(ns / 1000000000ull);
    time->tv_nsec = (long)(ns % 1000000000ull);
  }
  return result;
}

// Rounded up: not before it is time.
static inline int fast_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout) {
  return epoll_wait(epoll, events, count, timeout <= 0 ? timeout : (timeout + FAST_CLOCK - 1) / FAST_CLOCK);
}

#define clock_gettime fast_clock_gettime
#define epoll_wait fast_epoll_wait
