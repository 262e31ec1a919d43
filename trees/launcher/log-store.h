// Where and how the files of an instance's output are kept.
#pragma once
#include "plan.h"

struct log_store {
  int directory;                         // -1: nothing is stored
  uint64_t max_size;                     // bytes a file; 0: no limit
  uint32_t max_files;                    // rotated ones beside the current one
  size_t compress_words;                 // 0: rotated files are not compressed
  char *compress[PLAN_LOG_MAX_COMPRESS]; // command that compresses the file named by one more word
};

// Makes the directory if it is missing. Ends the process with 125 when that is impossible.
void log_store_open(struct log_store *store, const struct plan *plan, const struct plan_log *config);
