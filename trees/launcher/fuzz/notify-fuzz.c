// Fuzzes what is read of notifications. With libFuzzer (clang -fsanitize=fuzzer,address,undefined).
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../notify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // Of exactly this size, so that one byte too far is an error.
  char *text = malloc(size == 0 ? 1 : size);
  if (text == NULL)
    abort();
  memcpy(text, data, size);
  struct notify_message message = {0};
  notify_parse(text, size, &message);
  if (message.main_pid < 0)
    abort();
  if (memchr(message.status, '\0', sizeof message.status) == NULL)
    abort();
  free(text);
  return 0;
}
