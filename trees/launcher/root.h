// The container's root file system: layers and upper directory as one overlay, then pivot_root into it.
#pragma once
#include <stdbool.h>

#include "plan.h"
#include "sources.h"

struct root {
  int stage;   // a private tmpfs that holds whatever the mounts need and that the container never sees
  int dir;     // the new root, O_PATH
  bool served; // by fuse-overlayfs
};

// Makes the overlay in this (new) mount namespace, or in another one where the kernel cannot (fuse-tree.h).
// Ends the process on failure.
void root_build(const struct plan *plan, const struct sources *sources, int handover, struct root *root);

// Makes it this process's root and lets go of the host's. The working directory is the new root afterwards.
void root_enter(const struct plan *plan, const struct root *root);
