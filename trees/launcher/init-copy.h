// Programs that containers can get to see.
#pragma once

// A sealed copy of trees-init in memory: what the container could reach through /proc/1/exe is not the file
// that the next container starts from (CVE-2019-5736). Ends the process on failure.
int init_copy(void);

// The same of the program that is running.
int launcher_copy(void);
