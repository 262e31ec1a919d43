// The locks that a plan names.
#pragma once
#include "plan.h"

struct locks {
  int tree; // held shared: garbage collection leaves the tree alone
  int own;  // held exclusively: nobody else starts this instance
};

// Takes both; they are held until the process ends, however it ends. -1 for those that the plan does not
// name. `before`: what the run before this one held; nobody can take it in between. Ends the process with 125
// when somebody else is in the way.
struct locks locks_hold(const struct plan *plan, struct locks before);
