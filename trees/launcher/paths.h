// Paths inside a tree that nobody vouches for: every lookup stays below the root descriptor, whatever
// symlinks say.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

// Opens `path` (absolute, as seen inside) with O_PATH below `root`; -1 and errno. `real` refuses any symlink
// (ELOOP).
int path_open(int root, const char *path, bool real);

enum target_kind { TARGET_DIRECTORY, TARGET_FILE };

// Opens a mount point, making it and missing parents (0755, files 0644) first. Ends the process when it
// cannot.
int path_target(int root, const char *path, enum target_kind kind, bool real);

// Opens the directory above `path`, making it if it is missing, and points `name` at the last component.
int path_parent(int root, const char *path, bool real, const char **name);
