#include "service-table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

void service_table_set(struct service_table *table, const char *name, const char *text) {
  size_t at = 0;
  while (at < table->count && strcmp(table->lines[at].name, name) != 0)
    at++;
  if (at == table->count) {
    if (at == PLAN_MAX_SERVICES)
      return;
    struct service_line *lines = realloc(table->lines, (at + 1) * sizeof *lines);
    if (lines == NULL)
      return;
    table->lines = lines;
    table->count++;
    snprintf(lines[at].name, sizeof lines[at].name, "%s", name);
  }
  snprintf(table->lines[at].text, sizeof table->lines[at].text, "%s", text);
}
