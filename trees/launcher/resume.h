// Restarting an instance: the launcher executes itself again in place, so that every start begins from a
// clean process. Its id, its locks, its control socket and whoever is connected to it stay.
#pragma once
#include "instance.h"

// `failed`: what kept the container from being started, NULL: it has run. Ends the process on failure.
_Noreturn void resume_execute(struct instance *instance, const char *failed);

// In the new program: takes over what was kept. The message of a failed start, or NULL.
const char *resume_load(struct instance *instance);
