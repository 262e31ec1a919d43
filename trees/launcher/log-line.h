// What the parts of the logger share: one piece of a line on its way to the places that take lines.
#pragma once
#include <time.h>

#include "logs.h"

// The longest piece of a line, as container runtimes split them for Kubernetes.
#define LOG_PIECE (16 << 10)
#define LOG_NAME 72

struct log_line {
  const char *service;
  enum log_channel channel;
  struct timespec time;
  const char *bytes; // without the newline
  size_t size;
  bool partial; // the line goes on in the next piece, or ended without a newline
};
