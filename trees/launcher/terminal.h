// A terminal of the container's own. The host's is never handed in: whoever holds it could type into it
// (TIOCSTI).
//
// The container's first process opens a pair on its own devpts, takes the slave as its standard streams and
// passes the master to the launcher, which relays between it and the host's terminal.
#pragma once
#include <stdbool.h>
#include <sys/ioctl.h>
#include <termios.h>

struct terminal {
  bool wanted;
  bool keep_open;   // the command may let go of it and open it again; this project's init would not
  int launcher_end; // of the channel through which the master comes
  int container_end;
  bool on_host;         // standard input is a terminal
  struct termios modes; // of the host's terminal, as found
  struct winsize size;
};

// Before the container is created. Ends the process on failure.
void terminal_prepare(struct terminal *terminal);

// In the container, inside its root. The size is set before the command can ask for it.
void terminal_open(const struct terminal *terminal);

// The master, or -1 if the container ended before it opened one; and in `slave` the other end if it is to be
// kept open, else -1.
int terminal_receive(const struct terminal *terminal, int *slave);
