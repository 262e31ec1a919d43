// The tree by fuse-overlayfs, where an unprivileged caller cannot have the kernel's overlay: the container's
// side. It makes the mount and tells the launcher to have somebody serve it (tree-server.h), who must not be
// one of its own processes.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

// What the launcher gets over the handover, in these places, with the error number of the kernel's refusal.
// No descriptors: the kernel's overlay it is.
enum fuse_tree_place {
  FUSE_TREE_DEVICE,    // connection of the mount
  FUSE_TREE_NAMESPACE, // mount namespace in which the layers are, and the tree is not
  FUSE_TREE_STAGE,     // directory in there that their names are relative to
  FUSE_TREE_LOCK,      // of the upper directory; none for one in memory
  FUSE_TREE_PLACES
};

// In place of an error number: the kernel was not asked, as the upper directory is fuse-overlayfs's.
#define FUSE_TREE_KEPT 0u

// Whether an upper directory has been written by fuse-overlayfs: the kernel would show again what was
// removed.
bool fuse_tree_kept(int stage);

// Whether this error of the kernel's says that it cannot or may not, rather than that something is wrong.
bool fuse_tree_replaces(int error);

// Where fuse-overlayfs is; NULL: nowhere.
const char *fuse_tree_program(void);

// Makes the mount, without a place, and has it served. From here on this is another mount namespace: `stage`
// is opened again in it, and so has to be what the caller has opened by path. Ends the process on failure.
int fuse_tree_mount(const struct plan *plan, int handover, int *stage, int refused);

// Waits until somebody serves it, and notes that beside the upper directory. Ends the process when nobody
// does, silently: the launcher says why.
void fuse_tree_wait(const struct plan *plan, int handover, int root);
