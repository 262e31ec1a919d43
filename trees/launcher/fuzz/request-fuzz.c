// Fuzzes the parser of control requests, what encodes its words again, and the notation of detach keys. With
// libFuzzer (clang -fsanitize=fuzzer,address,undefined).
#include <stdlib.h>
#include <string.h>

#include "../detach-keys.h"
#include "../request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail_unless(bool condition) {
  if (!condition)
    abort();
}

// What was parsed and joined again parses to the same.
static void join_again(const struct request *request) {
  char joined[3 * REQUEST_MAX + 1];
  struct request again;
  size_t length = request_join(request, 0, joined, sizeof joined);
  fail_unless(length == strlen(joined) && length < sizeof joined);
  if (request->count == 0)
    return;
  char line[sizeof joined + 2] = "v ";
  memcpy(line + 2, joined, length + 1);
  const char *problem = request_parse(line, length + 2, &again);
  // A word that decodes to nothing cannot be told from a missing one.
  for (size_t i = 0; i < request->count; i++)
    if (request->words[i][0] == '\0')
      return;
  fail_unless(problem == NULL && again.count == request->count);
  for (size_t i = 0; i < request->count; i++) {
    fail_unless(strcmp(again.words[i], request->words[i]) == 0);
    fail_unless((again.values[i] == NULL) == (request->values[i] == NULL));
    fail_unless(again.values[i] == NULL || strcmp(again.values[i], request->values[i]) == 0);
  }
}

static void parse_request(const uint8_t *data, size_t size) {
  struct request request;
  uint64_t number = 0;
  // Exactly the room that the contract asks for, so that one byte too far is an error.
  char *line = malloc(size + 1);
  if (line == NULL)
    abort();
  memcpy(line, data, size);
  if (request_parse(line, size, &request) == NULL) {
    for (size_t i = 0; i < request.count; i++) {
      (void)request_value(&request, request.words[i]);
      if (!request_number(&request, request.words[i], 1000, &number))
        fail_unless(number <= 1000);
    }
    join_again(&request);
  }
  free(line);
}

// Typed in any pieces, everything comes out but the sequence itself.
static void type_keys(const uint8_t *data, size_t size) {
  struct detach_keys keys;
  char text[64] = {0};
  char out[256 + DETACH_KEYS_MAX];
  size_t used;
  memcpy(text, data, size < sizeof text - 1 ? size : sizeof text - 1);
  if (!detach_keys_parse(text, &keys))
    return;
  for (size_t at = 0; at < size; at += 7) {
    size_t count = size - at < 7 ? size - at : 7;
    if (detach_keys_filter(&keys, (const char *)data + at, count, out, &used))
      fail_unless(keys.matched == 0);
    fail_unless(used <= count + DETACH_KEYS_MAX && keys.matched <= keys.count);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size <= REQUEST_MAX)
    parse_request(data, size);
  type_keys(data, size);
  return 0;
}
