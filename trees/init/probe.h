// Health checks over the network, in a process of their own: PID 1 reads nothing that others send.
#pragma once
#include "../launcher/plan.h"

// Connects, for http sends a request and reads the status line, and ends the process with 0 if all is well
// and 1 if not. Takes as long as it takes: whoever started it ends it.
_Noreturn void probe_run(const struct plan *plan, const struct plan_health *health);
