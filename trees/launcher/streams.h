// The container's standard streams where they are not simply the caller's: pipes to the launcher.
#pragma once
#include <stdbool.h>

struct streams_wanted {
  bool detached; // the caller's streams are not for the container
  bool tty;      // streams come from the terminal; only messages before it is there need a pipe
  bool piped;    // output goes through the launcher
  bool input;    // detached: standard input is a pipe that stays open
};

struct streams {
  int out; // the launcher's ends; -1: none
  int err;
  int in;
  int container[3]; // the container's ends; -1: as inherited
};

// Ends the process on failure.
void streams_prepare(struct streams *streams, const struct streams_wanted *plan);

// In the container: takes its ends as standard streams.
void streams_enter(const struct streams *streams);

// In the launcher, once the container exists: lets go of the container's ends.
void streams_started(struct streams *streams);
