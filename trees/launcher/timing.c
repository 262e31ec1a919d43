#include "timing.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "util.h"

#define MAX_MARKS 192
#define MAX_TEXT 60

struct mark {
  int64_t at; // nanoseconds of the monotonic clock
  bool container;
  char text[MAX_TEXT];
};

struct table {
  atomic_uint count;
  int64_t start;
  int64_t cloned; // where the container's side begins
  struct mark marks[MAX_MARKS];
};

static struct table *table;
static bool in_container;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void timing_start(void) {
  void *memory = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    die_errno("cannot measure what the start costs");
  table = memory;
  memset(table, 0, sizeof *table); // no page faults in what is measured
  table->start = now();
}

bool timing_wanted(void) {
  return table != NULL;
}

void timing_enter_container(void) {
  in_container = true;
  if (table != NULL)
    table->cloned = now();
}

void timing_mark(const char *step, const char *detail) {
  if (table == NULL)
    return;
  int64_t at = now();
  unsigned index = atomic_fetch_add(&table->count, 1);
  if (index >= MAX_MARKS)
    return;
  struct mark *mark = &table->marks[index];
  mark->at = at;
  mark->container = in_container;
  snprintf(mark->text, sizeof mark->text, "%s%s%s", step, detail[0] == '\0' ? "" : " ", detail);
}

static unsigned count(void) {
  unsigned marks = atomic_load(&table->count);
  return marks < MAX_MARKS ? marks : MAX_MARKS;
}

// Nanoseconds since the mark before on the same side.
static int64_t cost(unsigned index) {
  const struct mark *mark = &table->marks[index];
  for (unsigned i = index; i-- > 0;)
    if (table->marks[i].container == mark->container)
      return mark->at - table->marks[i].at;
  return mark->at - (mark->container ? table->cloned : table->start);
}

// Waiting for the other side is no work of one's own.
static bool waits(unsigned index) {
  return strncmp(table->marks[index].text, "wait", 4) == 0;
}

static unsigned slowest(void) {
  unsigned found = 0;
  for (unsigned i = 1; i < count(); i++)
    if (!waits(i) && (waits(found) || cost(i) > cost(found)))
      found = i;
  return found;
}

static int64_t total(void) {
  int64_t end = table->start;
  for (unsigned i = 0; i < count(); i++)
    if (table->marks[i].at > end)
      end = table->marks[i].at;
  return end - table->start;
}

static const char *side(unsigned index) {
  return table->marks[index].container ? "container" : "launcher";
}

static void print_json(void) {
  fprintf(stderr, "{\"total\":%.1f,\"unit\":\"us\",\"slowest\":%u,\"steps\":[", (double)total() / 1000,
          slowest());
  for (unsigned i = 0; i < count(); i++) {
    fprintf(stderr, "%s{\"side\":\"%s\",\"step\":\"", i == 0 ? "" : ",", side(i));
    for (const char *at = table->marks[i].text; *at != '\0'; at++)
      if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ')
        fprintf(stderr, "\\u%04x", (unsigned char)*at);
      else
        fputc(*at, stderr);
    fprintf(stderr, "\",\"took\":%.1f}", (double)cost(i) / 1000);
  }
  fputs("]}\n", stderr);
}

void timing_print(bool json) {
  if (table == NULL || count() == 0)
    return;
  static char buffer[16384];
  setvbuf(stderr, buffer, _IOFBF, sizeof buffer);
  if (json) {
    print_json();
  } else {
    unsigned worst = slowest();
    fprintf(stderr, "start took %.0f us until the init was executed; slowest: %s (%s), %.0f us\n",
            (double)total() / 1000, table->marks[worst].text, side(worst), (double)cost(worst) / 1000);
    for (unsigned i = 0; i < count(); i++)
      fprintf(stderr, "%9.1f us  %-9s  %s\n", (double)cost(i) / 1000, side(i), table->marks[i].text);
  }
  fflush(stderr);
  setvbuf(stderr, NULL, _IONBF, 0);
}
