// Commands of the plan that prepare the container before its own command is executed.
#pragma once
#include "../launcher/plan.h"

// Runs the hooks of PLAN_HOOK_INIT as the container's root, one after the other, passing on signals that ask
// to end
// (`signals` is a signalfd of everything blocked). Returns only when all have succeeded; otherwise ends the
// process, with 125 and the reason, or with 128+n when it was asked to end. `channel`: to the
// launcher, or -1.
void scripts_run(const struct plan *plan, int signals, int channel);
