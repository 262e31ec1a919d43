// A service's stored output in the format of the Kubernetes container runtime interface, a line a piece:
//   2016-10-06T00:17:09.669794202Z stdout F the line
// with P in place of F where the line goes on in the next one. Files are rotated from NAME.log to
// NAME.log.TIME and, with a compressor, NAME.log.TIME.gz. Source of the format: KEP "CRI logging" and
// kubelet's log reader.
#pragma once
#include "log-line.h"

struct log_store {
  int directory;      // -1: nothing is stored
  uint64_t max_size;  // bytes a file; 0: no limit
  uint32_t max_files; // rotated ones beside the current one
  char *const
      *compress; // command that compresses the file named by its last word, at most 14 words; NULL: none
  size_t compress_words;
};

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
void log_file_flush(const struct log_store *store, struct log_file *file);
void log_file_close(const struct log_store *store, struct log_file *file);
