// A file of its own with the content of another one.
#pragma once

#include "metadata.h"

namespace trees::store {

// Copies the content between two open files: shared blocks where the file system can (FICLONE), else in the
// kernel (copy_file_range), else through memory. Throws Failure.
void copy_content(int from, int to, const Job &job);

// Copies extended attributes but OSTree's own between two open files. Throws Failure.
void copy_xattrs(int from, int to);
// The same for symbolic links, whose attributes can only be reached by a path: `name` in an open directory
// each.
void copy_link_xattrs(int from, const char *from_name, int to, const char *to_name);

// Whether two open files have the same bytes. Throws Failure.
bool same_content(int a, int b, const Job &job);

// Target of a symbolic link. Throws Failure.
std::string link_target(int directory, const char *name);

} // namespace trees::store
