// Where a container's process 1 says how it is (sd_notify(3)): what the launcher reads comes to a socket that
// has its name in the container.
#pragma once

// Makes the receiving end in the working directory. -1 and errno on failure.
int notify_socket_make(const char *name);
