// What a command may do, beyond user and capabilities: keyring, files, system calls.
#pragma once
#include "../launcher/plan.h"

// Before the command's user and capabilities are taken on. Without no-new-privileges only who has
// CAP_SYS_ADMIN may restrict itself, so it happens here; otherwise nothing does. Ends the process on failure.
void restrict_early(const struct plan *plan);

// Last before the command is executed. Ends the process on failure.
void restrict_late(const struct plan *plan);
