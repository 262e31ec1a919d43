// The services of a launch plan: what the init runs when there is more than one command. Times are in
// milliseconds.
#pragma once
#include <stdint.h>

#include "plan-security.h" // struct plan_words

#define PLAN_MAX_SERVICES 1024u
#define PLAN_MAX_SERVICE_LINKS 16384u
#define PLAN_MAX_LISTEN 64u // sockets of one service
#define PLAN_MAX_SERVICE_NAME 64u
#define PLAN_NO_SERVICE UINT32_MAX
#define PLAN_NO_LIMIT UINT32_MAX

enum plan_service_flag {
  PLAN_SERVICE_MAIN = 1 << 0,    // its end is the container's, with its status
  PLAN_SERVICE_ONESHOT = 1 << 1, // does something and ends: ready when it has ended with 0
  PLAN_SERVICE_COMMAND = 1 << 2, // the plan's command under supervision: all signals are its own
  PLAN_SERVICE_LAZY = 1 << 3,    // started by the first connection to one of its sockets
  PLAN_SERVICE_FLAGS = (1 << 4) - 1
};

enum plan_service_restart {
  PLAN_SERVICE_RESTART_NEVER,
  PLAN_SERVICE_RESTART_ON_FAILURE,
  PLAN_SERVICE_RESTART_ALWAYS,
  PLAN_SERVICE_RESTART_END
};

enum plan_ready { PLAN_READY_STARTED, PLAN_READY_NOTIFY, PLAN_READY_HEALTH, PLAN_READY_FD, PLAN_READY_END };

enum plan_check {
  PLAN_CHECK_NONE,
  PLAN_CHECK_EXEC,
  PLAN_CHECK_TCP,
  PLAN_CHECK_HTTP,
  PLAN_CHECK_UNIX,
  PLAN_CHECK_END
};

enum plan_unhealthy {
  PLAN_UNHEALTHY_NONE,
  PLAN_UNHEALTHY_RESTART,
  PLAN_UNHEALTHY_STOP,
  PLAN_UNHEALTHY_KILL,
  PLAN_UNHEALTHY_END
};

enum plan_event {
  PLAN_EVENT_STARTED = 1 << 0,
  PLAN_EVENT_READY = 1 << 1,
  PLAN_EVENT_HEALTHY = 1 << 2,
  PLAN_EVENT_UNHEALTHY = 1 << 3,
  PLAN_EVENT_EXIT = 1 << 4,
  PLAN_EVENT_EXIT_SUCCESS = 1 << 5,
  PLAN_EVENT_EXIT_FAILED = 1 << 6,
  PLAN_EVENT_STOPPING = 1 << 7,
  PLAN_EVENT_STOPPED = 1 << 8, // ended, and will not be started again by itself
  PLAN_EVENT_CHANGED = 1 << 9, // health, readiness after the first time, or a watched file
  PLAN_EVENTS = (1 << 10) - 1
};

struct plan_health {
  uint32_t kind;       // enum plan_check
  uint32_t on_failure; // enum plan_unhealthy
  struct plan_words exec;
  uint32_t address; // string: numeric address, or path of a unix socket
  uint32_t port;
  uint32_t host; // strings of a HTTP request
  uint32_t path;
  uint32_t status_min; // of a HTTP response
  uint32_t status_max;
  uint32_t interval;
  uint32_t timeout;
  uint32_t retries;
  uint32_t start_period;
};

struct plan_service {
  uint32_t name;
  uint32_t flags; // enum plan_service_flag
  struct plan_words argv;
  struct plan_words env; // wins over the plan's
  uint32_t user;         // strings; empty: the plan's
  uint32_t workdir;
  uint32_t link_first; // its part of the links
  uint32_t link_count;
  uint32_t restart;     // enum plan_service_restart
  uint32_t restart_max; // in a row, or PLAN_NO_LIMIT
  uint32_t restart_delay;
  uint32_t restart_max_delay;
  uint32_t restart_reset; // after running for so long they are counted anew
  uint32_t ready;         // enum plan_ready
  uint32_t ready_fd;
  uint32_t ready_timeout; // 0: none
  struct plan_health health;
  uint32_t when_source; // service, or PLAN_NO_SERVICE
  uint32_t when_event;  // one of enum plan_event, or 0
  uint32_t when_each;   // 1: on every such event
  uint32_t when_interval;
  uint32_t when_timeout;
  uint32_t stop_signal;
  uint32_t stop_timeout;
  uint32_t reload_signal; // 0: cannot be reloaded
  struct plan_words pre_stop;
  struct plan_words post_stop;
  struct plan_words reload; // command instead of a signal
  uint32_t pid_file;        // string: of a daemon that puts itself into the background
  uint32_t reserved;
};

enum plan_link_kind {
  PLAN_LINK_AFTER,    // target: service
  PLAN_LINK_REQUIRES, // target: service
  PLAN_LINK_WANTS,    // target: service
  PLAN_LINK_WATCH,    // target: service, number: events, action
  PLAN_LINK_FILE,     // text: path, action, a: milliseconds of quiet before acting
  PLAN_LINK_LISTEN, // target: enum plan_listen, text: address or path, number: port or mode, name, a: backlog
  PLAN_LINK_RLIMIT, // target: RLIMIT_*, number: required, a: soft, b: hard
  PLAN_LINK_END
};

enum plan_action {
  PLAN_ACTION_NONE, // the event `changed` only
  PLAN_ACTION_RELOAD,
  PLAN_ACTION_RESTART,
  PLAN_ACTION_STOP,
  PLAN_ACTION_START,
  PLAN_ACTION_END
};

enum plan_listen {
  PLAN_LISTEN_TCP,
  PLAN_LISTEN_UDP,
  PLAN_LISTEN_UNIX,
  PLAN_LISTEN_UNIX_DATAGRAM,
  PLAN_LISTEN_END
};

struct plan_service_link {
  uint32_t kind; // enum plan_link_kind
  uint32_t target;
  uint32_t text;
  uint32_t name;
  uint32_t number;
  uint32_t action; // enum plan_action
  uint64_t a;
  uint64_t b;
};
