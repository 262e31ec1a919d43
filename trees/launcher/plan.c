#include "plan.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

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

static bool valid_string(const struct plan *plan, uint32_t offset) {
  return offset < plan->strings_size;
}

static bool valid_strings(const struct plan *plan, const uint32_t *offsets, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!valid_string(plan, offsets[i]))
      return false;
  return true;
}

static bool absolute(const struct plan *plan, uint32_t offset) {
  return plan_string(plan, offset)[0] == '/';
}

// A name of one path component.
static bool component(const struct plan *plan, uint32_t offset) {
  const char *name = plan_string(plan, offset);
  return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static const char *check_op(const struct plan *plan, const struct plan_op *op) {
  if (op->type == 0 || op->type >= PLAN_OP_END)
    return "unknown operation";
  if ((op->flags & ~(uint32_t)PLAN_OPF_ALL) != 0)
    return "unknown operation flag";
  if (!valid_string(plan, op->source) || !valid_string(plan, op->target) || !valid_string(plan, op->data))
    return "string out of bounds in an operation";
  if ((op->mode & ~07777u) != 0)
    return "mode out of range";
  bool from_host = op->type == PLAN_OP_LOWER || op->type == PLAN_OP_UPPER || op->type == PLAN_OP_BIND ||
                   op->type == PLAN_OP_DEVICE;
  if (from_host && !absolute(plan, op->source))
    return "source of an operation is not absolute";
  if (op->type == PLAN_OP_UPPER)
    return component(plan, op->target) && component(plan, op->data) ? NULL
                                                                    : "upper or work is not a plain name";
  if (op->type != PLAN_OP_LOWER && !absolute(plan, op->target))
    return "target of an operation is not absolute";
  if (op->type == PLAN_OP_SYMLINK && op->data == 0)
    return "symbolic link without a target";
  return NULL;
}

static const char *check_ops(const struct plan *plan) {
  size_t lowers = 0;
  size_t uppers = 0;
  if (plan->op_count > PLAN_MAX_OPS)
    return "too many operations";
  for (size_t i = 0; i < plan->op_count; i++) {
    const char *problem = check_op(plan, &plan->ops[i]);
    if (problem != NULL)
      return problem;
    lowers += plan->ops[i].type == PLAN_OP_LOWER;
    uppers += plan->ops[i].type == PLAN_OP_UPPER;
  }
  if (lowers == 0 || lowers > PLAN_MAX_LAYERS)
    return "no tree, or too many layers";
  return uppers == (plan->config->root == PLAN_ROOT_PERSISTENT ? 1u : 0u)
             ? NULL
             : "wrong number of upper directories";
}

static const char *check_config(const struct plan *plan) {
  const struct plan_config *config = plan->config;
  if ((config->flags & ~(uint32_t)PLAN_FLAGS) != 0)
    return "unknown flag";
  if ((config->namespaces & ~(uint32_t)PLAN_NS_ALL) != 0 ||
      (config->namespaces & PLAN_NS_REQUIRED) != PLAN_NS_REQUIRED)
    return "wrong set of namespaces";
  if (config->userns >= PLAN_USERNS_END || config->root >= PLAN_ROOT_END)
    return "unknown mode";
  if (!valid_string(plan, config->hostname) || !valid_string(plan, config->workdir) ||
      !valid_string(plan, config->user) || !valid_string(plan, config->lock_file) ||
      !valid_string(plan, config->own_lock))
    return "string out of bounds in the configuration";
  if (config->workdir != 0 && !absolute(plan, config->workdir))
    return "working directory is not absolute";
  if ((config->lock_file != 0 && !absolute(plan, config->lock_file)) ||
      (config->own_lock != 0 && !absolute(plan, config->own_lock)))
    return "lock file is not absolute";
  return NULL;
}

static const char *check_id_map(const struct plan_id_map *map, size_t count) {
  if (count > 340) // the kernel's limit
    return "too many id ranges";
  for (size_t i = 0; i < count; i++)
    if (map[i].count == 0 || map[i].inside > UINT32_MAX - map[i].count ||
        map[i].outside > UINT32_MAX - map[i].count)
      return "id range out of bounds";
  return NULL;
}

static const char *check_contents(const struct plan *plan) {
  const char *problem = check_config(plan);
  if (problem == NULL)
    problem = check_ops(plan);
  if (problem == NULL)
    problem = check_id_map(plan->uid_map, plan->uid_map_count);
  if (problem == NULL)
    problem = check_id_map(plan->gid_map, plan->gid_map_count);
  if (problem != NULL)
    return problem;
  if (plan->config->userns == PLAN_USERNS_RANGES && (plan->uid_map_count == 0 || plan->gid_map_count == 0))
    return "no id ranges";
  if (plan->argv_count == 0 || !valid_strings(plan, plan->argv, plan->argv_count))
    return "no command, or string out of bounds in it";
  if (!valid_strings(plan, plan->env, plan->env_count))
    return "string out of bounds in the environment";
  for (size_t i = 0; i < plan->rlimit_count; i++)
    if (plan->rlimits[i].resource >= RLIM_NLIMITS || plan->rlimits[i].soft > plan->rlimits[i].hard)
      return "limit out of range";
  return NULL;
}

static size_t record_size(uint32_t type) {
  switch (type) {
  case PLAN_SECTION_CONFIG:
    return sizeof(struct plan_config);
  case PLAN_SECTION_OPS:
    return sizeof(struct plan_op);
  case PLAN_SECTION_ARGV:
  case PLAN_SECTION_ENV:
    return sizeof(uint32_t);
  case PLAN_SECTION_UID_MAP:
  case PLAN_SECTION_GID_MAP:
    return sizeof(struct plan_id_map);
  case PLAN_SECTION_RLIMITS:
    return sizeof(struct plan_rlimit);
  case PLAN_SECTION_STRINGS:
    return 1;
  default:
    return 0;
  }
}

static void set_section(struct plan *plan, uint32_t type, const void *data, size_t count) {
  switch (type) {
  case PLAN_SECTION_CONFIG:
    plan->config = data;
    break;
  case PLAN_SECTION_OPS:
    plan->ops = data;
    plan->op_count = count;
    break;
  case PLAN_SECTION_ARGV:
    plan->argv = data;
    plan->argv_count = count;
    break;
  case PLAN_SECTION_ENV:
    plan->env = data;
    plan->env_count = count;
    break;
  case PLAN_SECTION_UID_MAP:
    plan->uid_map = data;
    plan->uid_map_count = count;
    break;
  case PLAN_SECTION_GID_MAP:
    plan->gid_map = data;
    plan->gid_map_count = count;
    break;
  case PLAN_SECTION_RLIMITS:
    plan->rlimits = data;
    plan->rlimit_count = count;
    break;
  default:
    plan->strings = data;
    plan->strings_size = count;
    break;
  }
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
    size_t record = record_size(section->type);
    if (record == 0 || (seen & (1u << section->type)) != 0)
      return "unknown or repeated section";
    seen |= 1u << section->type;
    // 64-bit arithmetic: neither product nor sum can wrap.
    uint64_t end = (uint64_t)section->offset + (uint64_t)section->count * record;
    if (section->offset % 8 != 0 || section->offset < table_end || end > size)
      return "section out of bounds";
    if (section->type == PLAN_SECTION_CONFIG && section->count != 1)
      return "expected one configuration";
    set_section(plan, section->type, (const char *)bytes + section->offset, section->count);
  }
  if (plan->config == NULL)
    return "no configuration";
  if (plan->strings_size == 0 || plan->strings[0] != '\0' || plan->strings[plan->strings_size - 1] != '\0')
    return "strings are not terminated";
  return check_contents(plan);
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
