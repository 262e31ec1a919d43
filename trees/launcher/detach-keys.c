#include "detach-keys.h"

#include <string.h>

// ctrl-@, ctrl-a … ctrl-z, ctrl-[ … ctrl-_: the characters that a terminal sends for them.
static bool control_key(char key, char *value) {
  if (key >= 'a' && key <= 'z')
    *value = (char)(key - 'a' + 1);
  else if (key == '@' || (key >= '[' && key <= '_'))
    *value = (char)(key & 0x1f);
  else
    return false;
  return true;
}

static bool parse_key(const char *text, size_t size, char *value) {
  static const char prefix[] = "ctrl-";
  size_t length = sizeof prefix - 1;
  if (size == length + 1 && memcmp(text, prefix, length) == 0)
    return control_key(text[length], value);
  *value = text[0];
  return size == 1;
}

bool detach_keys_parse(const char *text, struct detach_keys *keys) {
  *keys = (struct detach_keys){0};
  while (*text != '\0') {
    size_t size = strcspn(text, ",");
    if (keys->count == DETACH_KEYS_MAX || !parse_key(text, size, &keys->keys[keys->count++]))
      return false;
    text += size;
    if (*text == ',' && *++text == '\0')
      return false;
  }
  return true;
}

// How much of the sequence what was typed so far ends with, `next` included, after `matched` keys of it.
static size_t advance(const struct detach_keys *keys, char next) {
  for (size_t length = keys->matched + 1; length > 0; length--)
    if (keys->keys[length - 1] == next &&
        memcmp(keys->keys, keys->keys + keys->matched + 1 - length, length - 1) == 0)
      return length;
  return 0;
}

bool detach_keys_filter(struct detach_keys *keys, const char *typed, size_t size, char *out, size_t *used) {
  *used = 0;
  for (size_t i = 0; i < size; i++) {
    size_t length = keys->count == 0 ? 0 : advance(keys, typed[i]);
    // What no longer belongs to the sequence goes on: its beginning, which was held back, and this key.
    size_t released = keys->matched + 1 - length;
    for (size_t k = 0; k < released; k++)
      out[(*used)++] = k < keys->matched ? keys->keys[k] : typed[i];
    keys->matched = length;
    if (keys->count > 0 && keys->matched == keys->count) {
      keys->matched = 0;
      return true;
    }
  }
  return false;
}
