// The launcher's command line.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define OPTIONS_HOLD 16

// Whose word makes the instance ready for the service manager that started it (podman's --sdnotify).
enum notify_mode {
  NOTIFY_CONTAINER, // the container's own
  NOTIFY_CONMON,    // the launcher's: ready when the command was executed
  NOTIFY_IGNORE
};

struct options {
  const char *plan_path; // NULL: plan_fd
  int plan_fd;
  bool tty;
  bool detach;
  bool quiet; // no notices
  bool explain_time;
  bool explain_json;     // as one line of JSON
  pid_t parent;          // dies with this process; 0: does not
  const char *pid_file;  // NULL: none
  int status_fd;         // -1: none
  unsigned preserve_fds; // descriptors 3… that the command inherits
  unsigned listen_fds;   // so many of these are sockets for it (sd_listen_fds(3))
  size_t hold_count;
  int hold[OPTIONS_HOLD]; // descriptors that stay open as long as the launcher lives: locks
  enum notify_mode notify;
  bool exported;  // started as the interpreter of an exported command: `command` is added to the plan's
  int resume_fd;  // -1: a first start; else what was kept when the launcher executed itself again
  char **command; // NULL-terminated, may be empty
};

// Ends the process on wrong usage.
struct options options_parse(int argc, char **argv);
