// A service's stored output in the format of the Kubernetes container runtime interface, a line a piece:
//   2016-10-06T00:17:09.669794202Z stdout F the line
// with P in place of F where the line goes on in the next one. Files are rotated from NAME.log to
// NAME.log.TIME and, with a compressor, NAME.log.TIME.gz. Source of the format: KEP "CRI logging" and
// kubelet's log reader.
#pragma once
#include "log-line.h"
#include "log-store.h"

struct log_file {
  int fd; // -1: not open
  uint64_t size;
  char name[LOG_NAME + 8];
  uint64_t lost_lines; // since writing began to fail
  uint64_t lost_bytes;
};

void log_file_init(struct log_file *file, const char *service);

// Appends to a buffer that all files share; log_file_flush() empties it.
void log_file_line(const struct log_store *store, struct log_file *file, const struct log_line *line);
// The same for all whole lines and whole pieces that `bytes` begin with, whose time and channel are those of
// `line`. Returns how much that was; what is left is at most LOG_PIECE bytes of a line. For a store with a
// directory.
size_t log_file_lines(const struct log_store *store, struct log_file *file, const struct log_line *line,
                      const char *bytes, size_t size);
void log_file_flush(const struct log_store *store, struct log_file *file);
void log_file_close(const struct log_store *store, struct log_file *file);

// Gives the buffer's memory back. Between two lines that were flushed.
void log_file_release(void);
