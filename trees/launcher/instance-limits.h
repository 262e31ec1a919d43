// Requests that concern all processes of an instance at once: pausing, and cgroups that it was not started
// in.
#pragma once
#include "instance.h"

// pause version= base= controllers=: where it can be made if it has no cgroup that can freeze.
void instance_pause(struct instance *instance, struct client *client, const struct request *request);
void instance_unpause(struct instance *instance, struct client *client, const struct request *request);

// cgroup version= base= controllers=: moves the instance into a cgroup with them unless it is in one, and
// answers with its directory. The client then sets the limits.
void instance_join_cgroup(struct instance *instance, struct client *client, const struct request *request);
