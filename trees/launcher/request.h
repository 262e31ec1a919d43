// Requests on the control socket: one line `VERB [key=value …]`, words separated by one space, values
// percent-encoded.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The longest request with its newline, bytes.
#define REQUEST_MAX 4096
#define REQUEST_WORDS 64

struct request {
  const char *verb;
  size_t count;
  const char *words[REQUEST_WORDS];  // decoded; for key=value words the text before the "="
  const char *values[REQUEST_WORDS]; // NULL for a word without "="
};

// Parses a line of `size` bytes without its newline, in place: `line` has room for a NUL behind it and keeps
// what the request points at. NULL, or what is wrong.
const char *request_parse(char *line, size_t size, struct request *request);

// The value of a key, or NULL.
const char *request_value(const struct request *request, const char *key);

// A number from 0 to `max`: *value stays as it is when the key is absent. False when it is no such number.
bool request_number(const struct request *request, const char *key, uint64_t max, uint64_t *value);

// Appends `text` to `out` with what separates words encoded; cut off at the end of the room. Returns the
// length.
size_t request_encode(const char *text, char *out, size_t room);

// The words from `first` on as they stand in a request, encoded. Returns the length.
size_t request_join(const struct request *request, size_t first, char *out, size_t room);
