#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "syscalls.h"

static die_hook *hook;
static void (*cleanup)(void);
static const char *hint;

void die_set_hook(die_hook *function) {
  hook = function;
}

void die_set_cleanup(void (*function)(void)) {
  cleanup = function;
}

void die_set_hint(const char *text) {
  hint = text;
}

// One write(2) per message, so that launcher and container never mix their lines. Leaves the message without
// level and newline in `message`.
static void print(const char *level, int error, char message[UTIL_MESSAGE], const char *format,
                  va_list arguments) {
  char line[UTIL_MESSAGE + 512];
  int used = vsnprintf(message, UTIL_MESSAGE, format, arguments);
  if (used < 0)
    used = 0;
  if (error != 0 && used < UTIL_MESSAGE - 1)
    snprintf(message + used, UTIL_MESSAGE - (size_t)used, ": %s", strerror(error));
  int length = snprintf(line, sizeof line, "%s%s%s\n", level, level[0] == '\0' ? "" : ": ", message);
  if (hint != NULL && strcmp(level, "error") == 0)
    length += snprintf(line + length, sizeof line - (size_t)length, "hint: %.400s\n", hint);
  write_all(STDERR_FILENO, line, (size_t)length);
}

_Noreturn static void end(const char *message) {
  void (*undo)(void) = cleanup;
  cleanup = NULL; // what fails there must not begin again
  if (undo != NULL)
    undo();
  die_hook *function = hook;
  hook = NULL; // what fails in the hook is the end
  if (function != NULL)
    function(message);
  _exit(STATUS_FAILED);
}

void die(const char *format, ...) {
  char message[UTIL_MESSAGE];
  va_list arguments;
  va_start(arguments, format);
  print("error", 0, message, format, arguments);
  va_end(arguments);
  end(message);
}

void die_errno(const char *format, ...) {
  int error = errno;
  char message[UTIL_MESSAGE];
  va_list arguments;
  va_start(arguments, format);
  print("error", error, message, format, arguments);
  va_end(arguments);
  end(message);
}

void warning(const char *format, ...) {
  char message[UTIL_MESSAGE];
  va_list arguments;
  va_start(arguments, format);
  print("warning", 0, message, format, arguments);
  va_end(arguments);
}

void warning_errno(const char *format, ...) {
  int error = errno;
  char message[UTIL_MESSAGE];
  va_list arguments;
  va_start(arguments, format);
  print("warning", error, message, format, arguments);
  va_end(arguments);
}

void notice(const char *format, ...) {
  char message[UTIL_MESSAGE];
  va_list arguments;
  va_start(arguments, format);
  print("", 0, message, format, arguments);
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

void close_all_but(const int *kept, size_t count) {
  unsigned from = 3;
  for (;;) {
    unsigned next = ~0u;
    for (size_t i = 0; i < count; i++)
      if (kept[i] >= (int)from && (unsigned)kept[i] < next)
        next = (unsigned)kept[i];
    if (next > from)
      sys_close_range(from, next == ~0u ? next : next - 1, 0);
    if (next == ~0u)
      return;
    from = next + 1;
  }
}
