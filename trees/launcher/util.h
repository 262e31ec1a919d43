// Small vocabulary of the launcher and the init. Neither allocates memory after start where it can be
// avoided.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

// trees failed before the command started (as with podman and Docker).
#define STATUS_FAILED 125
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127

#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

// Prints `error: …` on stderr and ends the process with 125. die_errno appends what errno means.
_Noreturn void die(const char *format, ...) PRINTF_LIKE(1, 2);
_Noreturn void die_errno(const char *format, ...) PRINTF_LIKE(1, 2);
void warning(const char *format, ...) PRINTF_LIKE(1, 2);
// One line without a level: something worth knowing that needs nobody to act.
void notice(const char *format, ...) PRINTF_LIKE(1, 2);
void warning_errno(const char *format, ...) PRINTF_LIKE(1, 2);

// What to do about what die() is about to say: it prints that as a line `hint: …` below its message.
void die_set_hint(const char *text);

// The longest message, in bytes with its NUL; longer ones are cut off.
#define UTIL_MESSAGE 1024

// What die() does before it ends the process, with the message. The hook may end or replace the process
// itself; it is called at most once. A child process that is not to act for its parent sets it to NULL.
typedef void die_hook(const char *message);
void die_set_hook(die_hook *function);

// What is undone before that, while something half-made would be left behind. NULL: nothing any more.
void die_set_cleanup(void (*function)(void));

static inline void close_fd(const int *fd) {
  if (*fd >= 0)
    close(*fd);
}
#define CLEANUP_FD __attribute__((cleanup(close_fd)))

// Repeats a call that was interrupted by a signal.
#define RETRY(expression)                                                                                    \
  (__extension__({                                                                                           \
    long retry_result_;                                                                                      \
    do                                                                                                       \
      retry_result_ = (long)(expression);                                                                    \
    while (retry_result_ == -1 && errno == EINTR);                                                           \
    retry_result_;                                                                                           \
  }))

// Closes every descriptor from 3 on but these; negative ones are none.
void close_all_but(const int *kept, size_t count);

// Writes all of it; -1 and errno if that is impossible.
int write_all(int fd, const void *bytes, size_t size);
