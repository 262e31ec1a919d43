#include "request.h"

#include <string.h>

static int digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// In place: decoded text is never longer. False for a broken escape or an encoded NUL.
static bool decode(char *text) {
  char *out = text;
  for (const char *in = text; *in != '\0'; in++) {
    if (*in != '%') {
      *out++ = *in;
      continue;
    }
    int high = digit(in[1]);
    int low = high < 0 ? -1 : digit(in[2]);
    if (low < 0 || (high == 0 && low == 0))
      return false;
    *out++ = (char)(high << 4 | low);
    in += 2;
  }
  *out = '\0';
  return true;
}

static const char *add_word(struct request *request, char *word) {
  if (request->verb == NULL) {
    request->verb = word;
    return NULL;
  }
  if (request->count == REQUEST_WORDS)
    return "too many words";
  char *value = strchr(word, '=');
  if (value == word)
    return "value without a key";
  if (value != NULL)
    *value++ = '\0';
  if (!decode(word) || (value != NULL && !decode(value)))
    return "broken percent-encoding";
  request->words[request->count] = word;
  request->values[request->count++] = value;
  return NULL;
}

const char *request_parse(char *line, size_t size, struct request *request) {
  *request = (struct request){0};
  if (memchr(line, '\0', size) != NULL)
    return "NUL in the request";
  line[size] = '\0';
  for (char *word = line; word != NULL;) {
    char *end = strchr(word, ' ');
    if (end != NULL)
      *end++ = '\0';
    if (*word == '\0')
      return "empty word in the request";
    const char *problem = add_word(request, word);
    if (problem != NULL)
      return problem;
    word = end;
  }
  return NULL;
}

const char *request_value(const struct request *request, const char *key) {
  for (size_t i = 0; i < request->count; i++)
    if (request->values[i] != NULL && strcmp(request->words[i], key) == 0)
      return request->values[i];
  return NULL;
}

bool request_number(const struct request *request, const char *key, uint64_t max, uint64_t *value) {
  const char *text = request_value(request, key);
  if (text == NULL)
    return true;
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 18 || text[digits] != '\0')
    return false;
  uint64_t number = 0;
  for (size_t i = 0; i < digits; i++)
    number = number * 10 + (uint64_t)(text[i] - '0');
  if (number > max)
    return false;
  *value = number;
  return true;
}

size_t request_encode(const char *text, char *out, size_t room) {
  static const char hex[] = "0123456789ABCDEF";
  size_t used = 0;
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    bool plain = c > ' ' && c != 0x7f && c != '%' && c != '=';
    if (used + (plain ? 2 : 4) > room)
      break;
    if (plain) {
      out[used++] = (char)c;
      continue;
    }
    out[used++] = '%';
    out[used++] = hex[c >> 4];
    out[used++] = hex[c & 15];
  }
  if (room > 0)
    out[used] = '\0';
  return used;
}

size_t request_join(const struct request *request, size_t first, char *out, size_t room) {
  size_t used = 0;
  if (room > 0)
    out[0] = '\0';
  for (size_t i = first; i < request->count && used + 2 < room; i++) {
    if (i > first)
      out[used++] = ' ';
    used += request_encode(request->words[i], out + used, room - used);
    if (request->values[i] == NULL || used + 2 >= room)
      continue;
    out[used++] = '=';
    used += request_encode(request->values[i], out + used, room - used);
  }
  return used;
}
