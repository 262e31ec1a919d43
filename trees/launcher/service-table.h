// What the init has last said of each service.
#pragma once
#include <stddef.h>

#define SERVICE_NAME 65
#define SERVICE_TEXT 192

struct service_line {
  char name[SERVICE_NAME];
  char text[SERVICE_TEXT]; // key=value words, encoded
};

struct service_table {
  struct service_line *lines; // allocated as services appear; a plan names at most 1,024
  size_t count;
};

void service_table_set(struct service_table *table, const char *name, const char *text);
