// All processes of a running container, as the host sees them.
#pragma once
#include <sys/types.h>

// Moves every process of `init`'s pid namespace, and of those inside of it, into the cgroup: `dir` is it,
// `tail` how its path ends ("/trees/NAME"), `controllers` which line of /proc/PID/cgroup tells ("" for
// version 2). `pidfd`: -1, or of `init` where that namespace is the host's, and the container's processes are
// those in its mount namespace and what descends from them. Goes on until a look at all processes finds none
// outside, so that none that is just being forked escapes. Returns 0, or -1 and errno.
int cgroup_move_members(int dir, pid_t init, int pidfd, const char *controllers, const char *tail);
