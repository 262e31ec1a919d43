#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One write(2) per message, so that launcher and container never mix their lines.
static void print(const char *level, int error, const char *format, va_list arguments) {
  char line[1024];
  int used = snprintf(line, sizeof line, "%s: ", level);
  int more = vsnprintf(line + used, sizeof line - (size_t)used, format, arguments);
  used += more < 0 ? 0 : more;
  if (error != 0 && used < (int)sizeof line - 1)
    used += snprintf(line + used, sizeof line - (size_t)used, ": %s", strerror(error));
  if (used > (int)sizeof line - 2)
    used = sizeof line - 2;
  line[used] = '\n';
  write_all(STDERR_FILENO, line, (size_t)used + 1);
}

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print("error", 0, format, arguments);
  va_end(arguments);
  _exit(STATUS_FAILED);
}

void die_errno(const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  print("error", error, format, arguments);
  va_end(arguments);
  _exit(STATUS_FAILED);
}

void warning(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print("warning", 0, format, arguments);
  va_end(arguments);
}

void warning_errno(const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  print("warning", error, format, arguments);
  va_end(arguments);
}

int write_all(int fd, const void *bytes, size_t size) {
  const char *at = bytes;
  while (size > 0) {
    ssize_t count = write(fd, at, size);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return -1;
    at += count;
    size -= (size_t)count;
  }
  return 0;
}
