#include "log-file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "log-copy.h"
#include "util.h"

#define BUFFER (256 << 10)
#define STAMP 48 // and less
#define ENTRY (STAMP + LOG_PIECE + 1 + LOG_COPY_SLACK)

// Only one file is written between two flushes, so one buffer serves all services.
alignas(4096) static char buffer[BUFFER];
static size_t used;

void log_file_init(struct log_file *file, const char *service) {
  *file = (struct log_file){.fd = -1};
  snprintf(file->name, sizeof file->name, "%s.log", service);
}

// NAME.log.YYYYMMDD-HHMMSS.nnnnnnnnn: sorts by age and never changes, so that a file can be compressed at
// leisure.
#define SUFFIX "00000000-000000.000000000"

static void rotated_name(char out[LOG_NAME + 48], const struct log_file *file) {
  struct timespec now;
  struct tm parts;
  char date[24] = "";
  clock_gettime(CLOCK_REALTIME, &now);
  if (gmtime_r(&now.tv_sec, &parts) != NULL)
    strftime(date, sizeof date, "%Y%m%d-%H%M%S", &parts);
  snprintf(out, LOG_NAME + 48, "%s.%s.%09ld", file->name, date, now.tv_nsec);
}

// Whether a directory entry is a rotated file of this service, compressed or not, and nothing else.
static bool is_rotated(const struct log_file *file, const char *entry) {
  size_t length = strlen(file->name);
  if (strncmp(entry, file->name, length) != 0 || entry[length] != '.')
    return false;
  const char *suffix = entry + length + 1;
  for (size_t i = 0; i < sizeof SUFFIX - 1; i++)
    if (SUFFIX[i] == '0' ? suffix[i] < '0' || suffix[i] > '9' : suffix[i] != SUFFIX[i])
      return false;
  return suffix[sizeof SUFFIX - 1] == '\0' || strcmp(suffix + sizeof SUFFIX - 1, ".gz") == 0;
}

// Counts the rotated files and finds the oldest. One that is being compressed is there twice and counts once.
static size_t scan(const struct log_store *store, const struct log_file *file, char oldest[NAME_MAX + 1]) {
  size_t count = 0;
  int fd = openat(store->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  if (directory == NULL) {
    close_fd(&fd);
    return 0;
  }
  oldest[0] = '\0';
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    char plain[NAME_MAX + 1];
    if (!is_rotated(file, entry->d_name))
      continue;
    snprintf(plain, sizeof plain, "%s", entry->d_name);
    char *end = strstr(plain + strlen(file->name), ".gz");
    if (end != NULL)
      *end = '\0';
    if (end != NULL && faccessat(store->directory, plain, F_OK, 0) == 0)
      continue;
    count++;
    if (oldest[0] == '\0' || strcmp(entry->d_name, oldest) < 0)
      strcpy(oldest, entry->d_name);
  }
  closedir(directory);
  return count;
}

static void remove_oldest(const struct log_store *store, const struct log_file *file) {
  char oldest[NAME_MAX + 1];
  while (scan(store, file, oldest) > store->max_files)
    if (unlinkat(store->directory, oldest, 0) != 0)
      return;
}

static bool open_file(const struct log_store *store, struct log_file *file) {
  struct stat status;
  file->fd = openat(store->directory, file->name,
                    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0640);
  if (file->fd < 0)
    return false;
  file->size = fstat(file->fd, &status) == 0 ? (uint64_t)status.st_size : 0;
  return true;
}

// In the background: a slow compressor must not hold up a line. Forked twice, it is not ours to wait for.
static void compress(const struct log_store *store, const char *name) {
  pid_t child = fork();
  if (child == 0) {
    if (fork() == 0) {
      char *words[PLAN_LOG_MAX_COMPRESS + 2];
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, NULL);
      memcpy(words, store->compress, store->compress_words * sizeof *words);
      words[store->compress_words] = (char *)(uintptr_t)name;
      words[store->compress_words + 1] = NULL;
      if (fchdir(store->directory) == 0)
        execve(words[0], words, (char *[]){NULL});
      _exit(STATUS_NOT_FOUND);
    }
    _exit(0);
  }
  if (child > 0)
    (void)RETRY(waitpid(child, NULL, 0));
}

static void rotate(const struct log_store *store, struct log_file *file) {
  char name[LOG_NAME + 48];
  log_file_flush(store, file);
  close_fd(&file->fd);
  file->fd = -1;
  file->size = 0;
  if (store->max_files == 0) {
    unlinkat(store->directory, file->name, 0);
    return;
  }
  rotated_name(name, file);
  if (renameat(store->directory, file->name, store->directory, name) != 0)
    return;
  remove_oldest(store, file);
  if (store->compress_words > 0)
    compress(store, name);
}

static void lose(struct log_file *file, size_t from) {
  for (const char *at = buffer + from; (at = memchr(at, '\n', (size_t)(buffer + used - at))) != NULL; at++)
    file->lost_lines++;
  file->lost_bytes += used - from;
}

// A disk that is full now may have room later: lines are lost meanwhile, never torn, and their number is
// said.
void log_file_flush(const struct log_store *store, struct log_file *file) {
  if (used == 0)
    return;
  size_t written = 0;
  if (file->fd >= 0 || open_file(store, file)) {
    while (written < used) {
      ssize_t count = RETRY(write(file->fd, buffer + written, used - written));
      if (count <= 0)
        break;
      written += (size_t)count;
    }
  }
  size_t whole = written;
  while (written < used && whole > 0 && buffer[whole - 1] != '\n')
    whole--;
  if (whole < written && ftruncate(file->fd, (off_t)(file->size + whole)) != 0)
    whole = written;
  file->size += whole;
  if (whole < used)
    lose(file, whole);
  used = 0;
}

// Formatting it anew for each line would cost more than all the rest of a short line: those that were read
// together have the same time, and most have the second of the ones before.
static const char *stamp(const struct log_line *line, size_t *length) {
  static char text[STAMP];
  static time_t second = -1;
  static size_t to_second;
  if (line->time.tv_sec != second) {
    struct tm parts;
    second = line->time.tv_sec;
    to_second =
        gmtime_r(&second, &parts) == NULL ? 0 : strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    memcpy(text + to_second, ".000000000Z stdout F ", 21);
  }
  char *at = text + to_second;
  long rest = line->time.tv_nsec;
  for (int digit = 9; digit > 0; digit--, rest /= 10)
    at[digit] = (char)('0' + rest % 10);
  memcpy(at + 15, line->channel == LOG_ERR ? "err" : "out", 3);
  at[19] = line->partial ? 'P' : 'F';
  *length = to_second + 21;
  return text;
}

static void put(const struct log_line *line) {
  size_t length;
  memcpy(buffer + used, stamp(line, &length), STAMP);
  used += length;
  memcpy(buffer + used, line->bytes, line->size);
  used += line->size;
  buffer[used++] = '\n';
}

static void say_lost(const struct log_store *store, struct log_file *file, const struct log_line *line) {
  char text[128];
  struct log_line notice = {.service = line->service, .channel = LOG_ERR, .time = line->time, .bytes = text};
  notice.size = (size_t)snprintf(text, sizeof text, "trees: %llu lines (%llu bytes) could not be stored",
                                 (unsigned long long)file->lost_lines, (unsigned long long)file->lost_bytes);
  uint64_t lines = file->lost_lines;
  uint64_t bytes = file->lost_bytes;
  file->lost_lines = 0;
  file->lost_bytes = 0;
  put(&notice);
  log_file_flush(store, file);
  if (file->lost_lines > 0) { // still so: the notice itself does not count
    file->lost_lines = lines;
    file->lost_bytes = bytes;
  }
}

// Before anything is added to the buffer.
static void begin(const struct log_store *store, struct log_file *file, const struct log_line *line) {
  if (file->lost_lines > 0 && used == 0)
    say_lost(store, file, line);
  if (used + ENTRY > sizeof buffer)
    log_file_flush(store, file);
  // The size counts once the file is open; until then nothing of it can be in the way of the first line.
  if (file->fd < 0 && !open_file(store, file))
    file->size = 0;
}

static bool is_full(const struct log_store *store, const struct log_file *file, size_t size) {
  return store->max_size > 0 && file->size + used > 0 && file->size + used + size > store->max_size;
}

void log_file_line(const struct log_store *store, struct log_file *file, const struct log_line *line) {
  if (store->directory < 0)
    return;
  begin(store, file, line);
  if (is_full(store, file, STAMP + line->size + 1))
    rotate(store, file);
  put(line);
}

size_t log_file_lines(const struct log_store *store, struct log_file *file, const struct log_line *line,
                      const char *bytes, size_t size) {
  char text[STAMP];
  size_t length;
  size_t taken = 0;
  memcpy(text, stamp(line, &length), STAMP); // a notice in between has another
  text[length - 2] = 'F';
  while (taken < size) {
    begin(store, file, line);
    char *entry = buffer + used;
    memcpy(entry, text, STAMP);
    size_t look = size - taken <= LOG_PIECE ? size - taken : LOG_PIECE + 1; // a newline needs no room
    size_t count = log_copy_line(entry + length, bytes + taken, look);
    size_t end = length + count;
    if (entry[end - 1] != '\n') {
      if (look <= LOG_PIECE)
        break;
      count = LOG_PIECE;
      entry[length - 2] = 'P';
      entry[end - 1] = '\n'; // where the first byte of the next piece was copied to
    }
    if (is_full(store, file, end)) {
      rotate(store, file);
      memmove(buffer, entry, end);
    }
    used += end;
    taken += count;
  }
  return taken;
}

void log_file_close(const struct log_store *store, struct log_file *file) {
  log_file_flush(store, file);
  if (file->fd >= 0)
    close(file->fd);
  file->fd = -1;
}

void log_file_release(void) {
  madvise(buffer, sizeof buffer, MADV_DONTNEED);
}
