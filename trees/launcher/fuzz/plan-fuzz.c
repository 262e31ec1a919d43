// Fuzzes the plan parser: the checksum is made to match, so that what lies behind it is reached, and
// everything that a plan that passes points at is touched (add what a new section has to touch()). With
// libFuzzer (clang -fsanitize=fuzzer,address,undefined), or with a main of its own (-DSTANDALONE) that parses
// the files given as arguments.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void touch_string(const struct plan *plan, uint32_t offset) {
  sink += strlen(plan_string(plan, offset));
}

static void touch_words(const struct plan *plan, struct plan_words list) {
  for (uint32_t i = 0; i < list.count; i++)
    sink += strlen(plan_word(plan, list, i));
}

static void touch_security(const struct plan *plan) {
  for (size_t i = 0; i < plan->seccomp_count; i++)
    sink += plan->seccomp[i].k;
  for (size_t i = 0; i < plan->landlock_count; i++)
    touch_string(plan, plan->landlock[i].path);
  for (size_t i = 0; i < plan->sysctl_count; i++) {
    touch_string(plan, plan->sysctl[i].name);
    touch_string(plan, plan->sysctl[i].value);
  }
  if (plan->security != NULL)
    touch_words(plan, plan->security->groups);
}

static void touch_log(const struct plan *plan) {
  if (plan->log == NULL)
    return;
  touch_string(plan, plan->log->directory);
  touch_string(plan, plan->log->instance);
  touch_words(plan, plan->log->compress);
}

static void touch_hooks(const struct plan *plan) {
  for (size_t i = 0; i < plan->hook_count; i++)
    touch_words(plan, plan->hooks[i].command);
}

static void touch_services(const struct plan *plan) {
  for (size_t i = 0; i < plan->service_count; i++) {
    const struct plan_service *service = &plan->services[i];
    touch_string(plan, service->name);
    touch_string(plan, service->user);
    touch_string(plan, service->workdir);
    touch_string(plan, service->pid_file);
    touch_string(plan, service->health.address);
    touch_string(plan, service->health.host);
    touch_string(plan, service->health.path);
    touch_words(plan, service->argv);
    touch_words(plan, service->env);
    touch_words(plan, service->pre_stop);
    touch_words(plan, service->post_stop);
    touch_words(plan, service->reload);
    if (service->health.kind == PLAN_CHECK_EXEC)
      touch_words(plan, service->health.exec);
    if (service->when_source != PLAN_NO_SERVICE)
      touch_string(plan, plan->services[service->when_source].name);
    for (uint32_t l = 0; l < service->link_count; l++) {
      const struct plan_service_link *link = &plan->service_links[service->link_first + l];
      touch_string(plan, link->text);
      touch_string(plan, link->name);
      if (link->kind <= PLAN_LINK_WATCH)
        touch_string(plan, plan->services[link->target].name);
    }
  }
}

static void touch(const struct plan *plan) {
  touch_services(plan);
  touch_hooks(plan);
  touch_log(plan);
  const struct plan_config *config = plan->config;
  touch_string(plan, config->hostname);
  touch_string(plan, config->workdir);
  touch_string(plan, config->user);
  touch_string(plan, config->lock_file);
  touch_string(plan, config->own_lock);
  for (size_t i = 0; i < plan->op_count; i++) {
    touch_string(plan, plan->ops[i].source);
    touch_string(plan, plan->ops[i].target);
    touch_string(plan, plan->ops[i].data);
    sink += plan->ops[i].number;
  }
  for (size_t i = 0; i < plan->argv_count; i++)
    touch_string(plan, plan->argv[i]);
  for (size_t i = 0; i < plan->env_count; i++)
    touch_string(plan, plan->env[i]);
  for (size_t i = 0; i < plan->uid_map_count; i++)
    sink += plan->uid_map[i].count;
  for (size_t i = 0; i < plan->gid_map_count; i++)
    sink += plan->gid_map[i].count;
  for (size_t i = 0; i < plan->rlimit_count; i++)
    sink += plan->rlimits[i].hard;
  touch_words(plan, (struct plan_words){.count = (uint32_t)plan->word_count});
  touch_security(plan);
  for (size_t i = 0; i < plan->cgroup_count; i++) {
    touch_string(plan, plan->cgroups[i].base);
    touch_string(plan, plan->cgroups[i].name);
    touch_words(plan, plan->cgroups[i].controllers);
  }
  for (size_t i = 0; i < plan->cgroup_write_count; i++) {
    touch_string(plan, plan->cgroup_writes[i].file);
    touch_string(plan, plan->cgroup_writes[i].value);
    sink += plan->cgroups[plan->cgroup_writes[i].cgroup].version;
  }
  if (plan->supervision != NULL) {
    touch_string(plan, plan->supervision->name);
    touch_string(plan, plan->supervision->app);
    touch_string(plan, plan->supervision->run_dir);
  }
}

static const char *parse(const uint8_t *data, size_t size, bool repair) {
  // An allocation of exactly this size, so that one byte too far is an error; malloc aligns as a mapping
  // does.
  uint8_t *bytes = malloc(size == 0 ? 1 : size);
  if (bytes == NULL)
    abort();
  memcpy(bytes, data, size);
  struct plan_header *header = (void *)bytes;
  if (repair && size >= sizeof *header) {
    memcpy(header->magic, PLAN_MAGIC, sizeof header->magic);
    header->version = PLAN_VERSION;
    header->size = (uint32_t)size;
    size_t covered = offsetof(struct plan_header, size);
    header->crc = plan_crc32(bytes + covered, size - covered);
  }
  struct plan plan;
  const char *problem = plan_parse(bytes, size, &plan);
  if (problem == NULL)
    touch(&plan);
  free(bytes);
  return problem;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  parse(data, size, false);
  parse(data, size, true);
  return 0;
}

#ifdef STANDALONE
int main(int argc, char **argv) {
  static uint8_t buffer[1 << 20];
  for (int i = 1; i < argc; i++) {
    FILE *file = fopen(argv[i], "rb");
    if (file == NULL)
      return 2;
    size_t size = fread(buffer, 1, sizeof buffer, file);
    fclose(file);
    const char *problem = parse(buffer, size, false);
    printf("%s: %s\n", argv[i], problem == NULL ? "ok" : problem);
    LLVMFuzzerTestOneInput(buffer, size);
  }
  return 0;
}
#endif
