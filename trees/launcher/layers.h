// What the tree is made of, by the names that it has in the stage: relative ones, so that they need no
// escaping and stay short whatever the host paths are.
#pragma once
#include "plan.h"

// Where the upper directory's parent is mounted, or an upper directory in memory is made.
#define LAYERS_UPPER "u"

// The options that overlayfs and fuse-overlayfs both take, each with its name.
struct layers {
  char lower[8 * PLAN_MAX_LAYERS + 16];
  char upper[320];
  char work[320];
};

// The host directory that decides whether there can be an overlay: where what is written goes, or else the
// tree.
const char *layers_written(const struct plan *plan);

struct layers layers_of(const struct plan *plan);

#define LAYERS_NAME 16

// The name of a lower directory, topmost is 0.
void layers_name(size_t index, char name[LAYERS_NAME]);
