// Capability sets of the calling process.
#pragma once
#include <stdint.h>

#include "plan.h"

// What the init needs itself to look after processes of other users and to start them with fewer privileges:
// CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, and CAP_SYS_PTRACE to see by the environment of a daemon
// which service it belongs to.
#define INIT_CAPABILITIES ((1ull << 5) | (1ull << 6) | (1ull << 7) | (1ull << 8) | (1ull << 19))

// What the init keeps for a plan: the command's and its own, and the right to restrict commands that may gain
// privileges (CAP_SYS_ADMIN, which the kernel wants then).
uint64_t privileges_of_init(const struct plan *plan);

// Drops all but `keep` from the bounding set, so that no exec can regain them. Ends the process on failure.
void privileges_bound(uint64_t keep);

// Sets permitted and effective to `keep` as far as permitted now; inheritable and ambient become empty, which
// keeps file capabilities from adding to them (CVE-2022-24769). Ends the process on failure.
void privileges_keep(uint64_t keep);
