// Lines to the machine's own log: journald by its native protocol, or syslog by RFC 3164 on /dev/log.
#pragma once
#include "log-line.h"

struct log_forward {
  int journal; // datagram sockets, -1: not asked for
  int syslog;
  const char *instance;
};

// Warns about a service that is asked for and not there; the instance runs all the same.
void log_forward_open(struct log_forward *forward, uint32_t flags, const char *instance);
bool log_forward_wanted(const struct log_forward *forward);
// A full socket drops the line.
void log_forward_line(struct log_forward *forward, const struct log_line *line);
void log_forward_close(struct log_forward *forward);
