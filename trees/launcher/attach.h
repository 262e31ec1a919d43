// trees-launch --attach RUNDIR [--detach-keys=KEYS] [--no-stdin]: connects the caller's streams to a running
// instance.
#pragma once

// Returns the instance's exit status, or 0 when the caller detached.
int attach_main(int argc, char **argv);
