#include "plan.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "plan-check.h"

// One nibble at a time: 64 bytes of table instead of 1 KB, and a plan is a few kilobytes.
uint32_t plan_crc32(const void *bytes, size_t size) {
  static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                     0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                     0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  uint32_t crc = UINT32_MAX;
  const unsigned char *at = bytes;
  for (size_t i = 0; i < size; i++) {
    crc ^= at[i];
    crc = (crc >> 4) ^ table[crc & 15];
    crc = (crc >> 4) ^ table[crc & 15];
  }
  return ~crc;
}

const char *plan_string(const struct plan *plan, uint32_t offset) {
  return plan->strings + offset;
}

const struct plan_op *plan_notify(const struct plan *plan) {
  for (size_t i = 0; i < plan->op_count; i++)
    if (plan->ops[i].type == PLAN_OP_NOTIFY)
      return &plan->ops[i];
  return NULL;
}

bool plan_shares_pids(const struct plan *plan) {
  return (plan->config->namespaces & PLAN_NS_PID) == 0;
}

bool plan_unprivileged(const struct plan *plan) {
  return plan->config->userns == PLAN_USERNS_SELF || plan->config->userns == PLAN_USERNS_HELPED;
}

const char *plan_word(const struct plan *plan, struct plan_words list, uint32_t index) {
  return plan_string(plan, plan->words[list.first + index]);
}

// Where a section's records go in struct plan, and how large one is.
struct section_kind {
  size_t record;
  size_t data;
  size_t count;
};

// A section that has exactly one record.
#define ONLY_ONE SIZE_MAX
#define LIST(member, counter)                                                                                \
  { sizeof *((struct plan *)0)->member, offsetof(struct plan, member), offsetof(struct plan, counter) }
#define ONE(member)                                                                                          \
  { sizeof *((struct plan *)0)->member, offsetof(struct plan, member), ONLY_ONE }

static const struct section_kind kinds[PLAN_SECTION_END] = {
    [PLAN_SECTION_CONFIG] = ONE(config),
    [PLAN_SECTION_OPS] = LIST(ops, op_count),
    [PLAN_SECTION_ARGV] = LIST(argv, argv_count),
    [PLAN_SECTION_ENV] = LIST(env, env_count),
    [PLAN_SECTION_UID_MAP] = LIST(uid_map, uid_map_count),
    [PLAN_SECTION_GID_MAP] = LIST(gid_map, gid_map_count),
    [PLAN_SECTION_RLIMITS] = LIST(rlimits, rlimit_count),
    [PLAN_SECTION_STRINGS] = LIST(strings, strings_size),
    [PLAN_SECTION_SECCOMP] = LIST(seccomp, seccomp_count),
    [PLAN_SECTION_LANDLOCK] = LIST(landlock, landlock_count),
    [PLAN_SECTION_SECURITY] = ONE(security),
    [PLAN_SECTION_CGROUP] = LIST(cgroups, cgroup_count),
    [PLAN_SECTION_CGROUP_WRITE] = LIST(cgroup_writes, cgroup_write_count),
    [PLAN_SECTION_HOOKS] = LIST(hooks, hook_count),
    [PLAN_SECTION_LOG] = ONE(log),
    [PLAN_SECTION_SUPERVISION] = ONE(supervision),
    [PLAN_SECTION_SYSCTL] = LIST(sysctl, sysctl_count),
    [PLAN_SECTION_SERVICES] = LIST(services, service_count),
    [PLAN_SECTION_SERVICE_LINKS] = LIST(service_links, service_link_count),
    [PLAN_SECTION_WORDS] = LIST(words, word_count),
};

static const char *take_section(struct plan *plan, const struct plan_section *section, const void *data) {
  const struct section_kind *kind = &kinds[section->type];
  if (kind->count == ONLY_ONE && section->count != 1)
    return "expected one record in a section";
  memcpy((char *)plan + kind->data, &data, sizeof data);
  size_t count = section->count;
  if (kind->count != ONLY_ONE)
    memcpy((char *)plan + kind->count, &count, sizeof count);
  return NULL;
}

const char *plan_parse(const void *bytes, size_t size, struct plan *plan) {
  const struct plan_header *header = bytes;
  *plan = (struct plan){0};
  if (size < sizeof *header || memcmp(header->magic, PLAN_MAGIC, sizeof header->magic) != 0)
    return "not a launch plan";
  if (header->version != PLAN_VERSION)
    return "launch plan of another version";
  if (header->size != size)
    return "truncated, or with something appended";
  size_t covered = offsetof(struct plan_header, size);
  if (plan_crc32((const char *)bytes + covered, size - covered) != header->crc)
    return "checksum does not match";

  if (header->section_count >= PLAN_SECTION_END)
    return "too many sections";
  size_t table_end = sizeof *header + header->section_count * sizeof(struct plan_section);
  if (table_end > size)
    return "section table out of bounds";
  const struct plan_section *sections = (const void *)(header + 1);
  uint32_t seen = 0;
  for (uint32_t i = 0; i < header->section_count; i++) {
    const struct plan_section *section = &sections[i];
    size_t record = section->type < PLAN_SECTION_END ? kinds[section->type].record : 0;
    if (record == 0 || (seen & (1u << section->type)) != 0)
      return "unknown or repeated section";
    seen |= 1u << section->type;
    // 64-bit arithmetic: neither product nor sum can wrap.
    uint64_t end = (uint64_t)section->offset + (uint64_t)section->count * record;
    if (section->offset % 8 != 0 || section->offset < table_end || end > size)
      return "section out of bounds";
    const char *problem = take_section(plan, section, (const char *)bytes + section->offset);
    if (problem != NULL)
      return problem;
  }
  if (plan->config == NULL)
    return "no configuration";
  if (plan->strings_size == 0 || plan->strings[0] != '\0' || plan->strings[plan->strings_size - 1] != '\0')
    return "strings are not terminated";
  return plan_check(plan);
}

const char *plan_map(int fd, struct plan *plan) {
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
    return "not a regular file";
  if (status.st_size <= 0 || status.st_size > (off_t)PLAN_MAX_SIZE)
    return "empty or too large";
  void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED)
    return "cannot be mapped";
  return plan_parse(bytes, (size_t)status.st_size, plan);
}
