#pragma once

// Brings up `lo` in this network namespace. Ends the process on failure.
void network_loopback_up(void);
