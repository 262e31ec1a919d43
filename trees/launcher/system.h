// Instances whose PID 1 is an init of the tree's own: a system, which has its own ways of ending.
#pragma once
#include "instance.h"

bool system_is(const struct instance *instance);

// What `stop` sends it.
int system_stop_signal(const struct instance *instance);

// Runs the command in the container that makes it power off. False: it has none, a signal does it.
bool system_stop(const struct instance *instance);

// The exit status for how it ended. The kernel tells a power-off and a reboot apart by the signal that ends
// the init (reboot(2)); one that was not asked for from outside starts the container again.
int system_status(struct instance *instance, int wait_status);
