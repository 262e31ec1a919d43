// What a process does that the launcher has created for a container.
#pragma once
#include "plan.h"

// Dies with the launcher. That is in another pid namespace, so getppid() says nothing; a pidfd of it tells
// whether it died before the request was in place. To be repeated when ids were changed, which clears the
// request. Ends the process on failure.
void child_tie(int launcher);

// Takes the ids of the user namespace's root, and no other groups. Ends the process on failure.
void child_become_root(const struct plan *plan);
