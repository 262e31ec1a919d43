// The tree by fuse-overlayfs: the launcher's side (fuse-tree.h is the container's). The server is a child of
// the launcher's: in the container's user namespace, so that ids are the container's, but in a mount
// namespace of its own and outside of the container's pid namespace. Nobody in the container sees it; the
// kernel ends its connection, and with it the server, when the container's mounts are gone, however the
// launcher fares.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

struct tree_server {
  pid_t pid; // 0: none, the tree is the kernel's
  int pidfd;
  uint32_t refused; // error number of the kernel's refusal; FUSE_TREE_KEPT: it was not asked
};

// Takes the container's word on how it got its tree, starts the server if it needs one, and waits until that
// answers. `pidfd` is the container's. Ends the process on failure.
void tree_server_start(const struct plan *plan, int pidfd, int handover, struct tree_server *server);

// Why it is not the kernel's.
void tree_server_notice(const struct plan *plan, const struct tree_server *server);

// It has ended although the container has not: says so. The container has no files any more.
void tree_server_ended(struct tree_server *server);

// Waits until it has ended after the container has: until then it writes to the upper directory. With
// somebody else in the container's mounts it would never end, so there is an end to patience.
void tree_server_finish(struct tree_server *server);

// Ends it at once.
void tree_server_kill(struct tree_server *server);
