// Turns the calling process into the command of the plan.
#pragma once
#include "../launcher/plan.h"

// `words` replaces the plan's command unless it is empty. With `terminal`, standard input is a terminal of
// the container's own and becomes the controlling one. Called in a fresh child with every signal blocked;
// does not return: prints why the command could not be executed and ends the process with 125, 126 or 127.
_Noreturn void command_execute(const struct plan *plan, char *const *words, bool terminal);
