// Service output on the launcher's own standard output and error, labelled `[name OUT] line`, without ever
// waiting for the reader.
#pragma once
#include "log-line.h"

struct log_console;

// `prefix`: label each line. `blocking`: keep everything; log_console_full() says when to stop reading.
struct log_console *log_console_open(bool prefix, bool blocking);

// Whole pieces, labelled.
void log_console_line(struct log_console *console, const struct log_line *line);
// As it came; for a console without labels.
void log_console_raw(struct log_console *console, enum log_channel channel, const char *bytes, size_t size);
void log_console_flush(struct log_console *console);

// Frees it, with what still waits.
void log_console_close(struct log_console *console);

// Nobody reads standard output any more.
bool log_console_gone(const struct log_console *console);
bool log_console_prefixed(const struct log_console *console);
// Too much waits for the reader; only where it blocks.
bool log_console_full(const struct log_console *console);
// Something waits for the reader of that channel; then its descriptor can be polled for writing.
bool log_console_waiting(const struct log_console *console, enum log_channel channel);
int log_console_descriptor(const struct log_console *console, enum log_channel channel);
