// Between launcher and init: a socket pair of whole packets (SOCK_SEQPACKET). A packet is one line as on the
// control socket (request.h), without a newline, and may carry descriptors.
//
// init → launcher
//   executed                      the command was executed; or all services that wait for nothing were
//                                 started, and the main one, if it is one of them, executed
//   failed STATUS MESSAGE         …or could not be; the init ends with STATUS
//   output NAME + 2 descriptors   read ends of a service's standard output and standard error
//   service NAME
//   state=waiting|starting|running|ready|stopping|stopped|failed|backoff pid=N exit=N restarts=N
//           health=none|starting|healthy|unhealthy [main=1]      whenever something of it changes
//   ready 0|1                     all services that are to run are ready, or not any more
//   health none|starting|healthy|unhealthy      of the container: that of the main service, or the worst
//   reply ID TEXT, done ID [error=MESSAGE]      answers to a request: lines, then the end
// launcher → init
//   request ID VERB [NAME…]       ls, status, start, stop, restart, reload
//   stop timeout=MS               end everything, in order; after so many milliseconds, at once
#pragma once
#include "request.h"

// Variable that tells the init which descriptor the channel is.
#define CHANNEL_VARIABLE "TREES_CHANNEL_FD"
#define CHANNEL_PACKET REQUEST_MAX
#define CHANNEL_FDS 2

struct channel_packet {
  struct request request; // points into `line`
  int fds[CHANNEL_FDS];   // close-on-exec; the receiver's to close
  size_t fd_count;
  char line[CHANNEL_PACKET + 1];
};

enum channel_result {
  CHANNEL_NOTHING, // there is none now
  CHANNEL_RECEIVED,
  CHANNEL_CLOSED
};

// Both ends are non-blocking and close-on-exec. False and errno on failure.
bool channel_open(int ends[2]);

// Packets that make no sense are dropped, with their descriptors.
enum channel_result channel_receive(int fd, struct channel_packet *packet);

// False when it cannot be sent: errno EAGAIN when the other side has not taken enough of what was sent
// before.
bool channel_send(int fd, const char *line, size_t size, const int *fds, size_t fd_count);
