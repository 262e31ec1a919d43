// The container's own network.
#pragma once
#include "plan.h"

struct network {
  int process; // that makes it; 0: none
  int fd;      // of its namespace, once it is made
};

// Lets another process make the network namespace, which takes longer than all others together, while this
// one goes on; that process shares this one's memory and descriptors. `network` stays where it is until it is
// joined. Ends the process on failure.
void network_begin(const struct plan *plan, struct network *network);

// Waits for it and enters it. Ends the process on failure.
void network_join(struct network *network);
