// Readiness by sd_notify(3): of services, to the init, which has a socket of its own for each that wants it;
// of a system, to the launcher.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NOTIFY_NAME 16 // room for "@" and the name that the kernel gives
#define NOTIFY_MESSAGE 4096
#define NOTIFY_STATUS 256

// What one sender has sent lately.
struct notify_rate {
  uint32_t messages; // since
  int64_t counted_from;
  int64_t quiet_until; // too many: not read before
};

struct notify_message {
  pid_t sender;
  bool ready;
  bool stopping;
  pid_t main_pid; // 0: not said
  bool has_status;
  char status[NOTIFY_STATUS]; // what it says about itself; what is longer is cut
};

// A socket with a name that nobody else has, in the network namespace of the container; `name` becomes the
// value for NOTIFY_SOCKET. -1 and errno on failure.
int notify_open(char name[NOTIFY_NAME]);

// The next message; descriptors that came with it are closed, which is what sd_notify_barrier(3) waits for.
// False when there is none.
bool notify_receive(int fd, struct notify_message *message);

// Counts a message that is about to be read, at a time in milliseconds. True when there were too many: the
// rest waits in the socket, and with it who sends, until `quiet_until`. Pure.
bool notify_floods(struct notify_rate *rate, int64_t now);

// Reads the lines of a message. Pure.
void notify_parse(const char *text, size_t size, struct notify_message *message);
