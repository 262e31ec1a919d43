// trees-launch --exec RUNDIR [options] -- COMMAND…: runs a command in an instance that is running.
#pragma once

// Returns the exit status.
int exec_main(int argc, char **argv);
