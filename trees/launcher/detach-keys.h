// The keys that end an attachment, in podman's notation: single characters and ctrl-X, separated by commas.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define DETACH_KEYS_MAX 16
#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"

struct detach_keys {
  size_t count; // 0: there are none
  char keys[DETACH_KEYS_MAX];
  size_t matched;
};

// False when the text is not in that notation.
bool detach_keys_parse(const char *text, struct detach_keys *keys);

// Looks at what was typed. Writes what is to be passed on to `out` (`size` + DETACH_KEYS_MAX bytes) and its
// length to *used; keys that may be the beginning of the sequence wait for the next call. True when the
// sequence is complete.
bool detach_keys_filter(struct detach_keys *keys, const char *typed, size_t size, char *out, size_t *used);
