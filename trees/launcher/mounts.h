// Mount primitives on descriptors.
#pragma once
#include <stdint.h>

// Mounts a new file system (detached). `options` are "key=value" or "flag" words, ended by NULL; -1 and
// errno.
int mounts_new(const char *type, const char *const options[], uint32_t op_flags);

// The same for a proc, with options separated by commas; `where` is for messages. Ends the process on
// failure.
int mounts_proc(const char *list, uint32_t op_flags, const char *where);

// Puts a detached mount on an open mount point. `what` and `where` are for the message; ends the process on
// failure.
void mounts_attach(int mount, int target, const char *what, const char *where);

// Sets the read-only, nosuid, nodev and noexec attributes that PLAN_OPF_* flags ask for, on all mounts below
// too if PLAN_OPF_RECURSIVE is given. Ends the process on failure.
void mounts_restrict(int mount, uint32_t op_flags, const char *what);

// The same for a mount that comes from the host; it is also taken out of what the host shares with it, unless
// PLAN_OPF_SLAVE or PLAN_OPF_SHARED is given.
void mounts_take(int mount, uint32_t op_flags, const char *what);

// A detached copy of the mount at an open place; ends the process on failure.
int mounts_clone(int place, const char *what, uint32_t op_flags);
