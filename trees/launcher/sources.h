// What comes from the host: layers, upper directory, binds and device nodes, each as a detached mount.
#pragma once
#include "plan.h"

// One descriptor per operation, -1 for those that take nothing from the host (or whose optional source is
// missing). In the container, a socket for notifications takes its place here when it is made.
struct sources {
  int *fds;
};

// Room for them and for one more, which is not closed with them. Ends the process on failure.
struct sources sources_none(const struct plan *plan);

// Opens them all. Done by the launcher on the host where it may, so that nothing later touches a host path;
// an unprivileged caller can do it in the container's namespaces only. Ends the process on failure.
void sources_open(const struct plan *plan, struct sources *sources);

// Shows the layers and binds with the ids of the user namespace. Returns false when a file system under the
// tree cannot do that (errno says why, `path` where).
bool sources_idmap(const struct plan *plan, const struct sources *sources, int userns, const char **path);

// Lets go of them in the launcher; the container has its own descriptors.
void sources_close(const struct plan *plan, struct sources *sources);
