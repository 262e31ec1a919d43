// The other end of the control socket.
#pragma once
#include <stddef.h>

// A connection to the instance whose state is in the directory `dir`. -1 and errno when nobody serves it.
int control_connect(int dir);

// Sends a request (with its newline) and reads the answer up to the end or until there is no room. -1 and
// errno when that is impossible, else the length; the answer ends with a NUL.
long control_ask(int dir, const char *request, char *answer, size_t room);
