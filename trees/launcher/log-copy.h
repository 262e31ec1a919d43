// Finding the end of a line while copying it: each byte of a service's output is looked at once.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Copies up to and with the first newline, or all of it: the number of bytes. Where it ends before `size`, up
// to LOG_COPY_SLACK bytes behind the newline are written, too.
#define LOG_COPY_SLACK 16

static inline size_t log_copy_line(char *to, const char *from, size_t size) {
  // The compiler's own vectors: SSE2, NEON, or what else there is.
  typedef unsigned char vector __attribute__((vector_size(16)));
  static const vector newline = {'\n', '\n', '\n', '\n', '\n', '\n', '\n', '\n',
                                 '\n', '\n', '\n', '\n', '\n', '\n', '\n', '\n'};
  size_t at = 0;
  for (; at + sizeof(vector) <= size; at += sizeof(vector)) {
    vector bytes;
    uint64_t found[2];
    memcpy(&bytes, from + at, sizeof bytes);
    memcpy(to + at, &bytes, sizeof bytes);
    vector equal = (vector)(bytes == newline);
    memcpy(found, &equal, sizeof found);
    if ((found[0] | found[1]) == 0)
      continue;
    // Little endian, as all machines that the launcher is built for.
    size_t bit = (size_t)(found[0] != 0 ? __builtin_ctzll(found[0]) : 64 + __builtin_ctzll(found[1]));
    return at + bit / 8 + 1;
  }
  for (; at < size; at++)
    if ((to[at] = from[at]) == '\n')
      return at + 1;
  return size;
}
