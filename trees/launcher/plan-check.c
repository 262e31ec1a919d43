#include "plan-check.h"

#include <string.h>
#include <sys/resource.h>

bool plan_valid_string(const struct plan *plan, uint32_t offset) {
  return offset < plan->strings_size;
}

static bool valid_strings(const struct plan *plan, const uint32_t *offsets, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!plan_valid_string(plan, offsets[i]))
      return false;
  return true;
}

bool plan_valid_words(const struct plan *plan, struct plan_words list) {
  return list.count <= plan->word_count && list.first <= plan->word_count - list.count;
}

bool plan_absolute(const struct plan *plan, uint32_t offset) {
  return plan_string(plan, offset)[0] == '/';
}

bool plan_component(const struct plan *plan, uint32_t offset) {
  const char *name = plan_string(plan, offset);
  return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static const char *check_op(const struct plan *plan, const struct plan_op *op) {
  if (op->type == 0 || op->type >= PLAN_OP_END)
    return "unknown operation";
  if ((op->flags & ~(uint32_t)PLAN_OPF_ALL) != 0)
    return "unknown operation flag";
  if (!plan_valid_string(plan, op->source) || !plan_valid_string(plan, op->target) ||
      !plan_valid_string(plan, op->data))
    return "string out of bounds in an operation";
  if ((op->mode & ~07777u) != 0)
    return "mode out of range";
  bool from_host = op->type == PLAN_OP_LOWER || op->type == PLAN_OP_UPPER || op->type == PLAN_OP_BIND ||
                   op->type == PLAN_OP_DEVICE;
  if (from_host && !plan_absolute(plan, op->source))
    return "source of an operation is not absolute";
  if (op->type == PLAN_OP_UPPER)
    return plan_component(plan, op->target) && plan_component(plan, op->data)
               ? NULL
               : "upper or work is not a plain name";
  if (op->type != PLAN_OP_LOWER && !plan_absolute(plan, op->target))
    return "target of an operation is not absolute";
  if (op->type == PLAN_OP_SYMLINK && op->data == 0)
    return "symbolic link without a target";
  return NULL;
}

static const char *check_ops(const struct plan *plan) {
  size_t lowers = 0;
  size_t uppers = 0;
  size_t notify = 0;
  if (plan->op_count > PLAN_MAX_OPS)
    return "too many operations";
  for (size_t i = 0; i < plan->op_count; i++) {
    const char *problem = check_op(plan, &plan->ops[i]);
    if (problem != NULL)
      return problem;
    lowers += plan->ops[i].type == PLAN_OP_LOWER;
    uppers += plan->ops[i].type == PLAN_OP_UPPER;
    notify += plan->ops[i].type == PLAN_OP_NOTIFY;
  }
  if (notify > 1 || (notify == 1 && (plan->config->flags & PLAN_NO_INIT) == 0))
    return "nobody to be notified by, or too many";
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
  if (!plan_valid_string(plan, config->hostname) || !plan_valid_string(plan, config->workdir) ||
      !plan_valid_string(plan, config->user) || !plan_valid_string(plan, config->lock_file) ||
      !plan_valid_string(plan, config->own_lock))
    return "string out of bounds in the configuration";
  if ((config->namespaces & PLAN_NS_PID) == 0 && (config->flags & PLAN_SYSTEM) != 0)
    return "a system that is not process 1";
  if (config->hostname != 0 && (config->namespaces & PLAN_NS_UTS) == 0)
    return "host name without a namespace for it";
  if (config->workdir != 0 && !plan_absolute(plan, config->workdir))
    return "working directory is not absolute";
  if ((config->lock_file != 0 && !plan_absolute(plan, config->lock_file)) ||
      (config->own_lock != 0 && !plan_absolute(plan, config->own_lock)))
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

static const char *check_base(const struct plan *plan) {
  const char *problem = check_id_map(plan->uid_map, plan->uid_map_count);
  if (problem == NULL)
    problem = check_id_map(plan->gid_map, plan->gid_map_count);
  if (problem != NULL)
    return problem;
  bool mapped = plan->config->userns == PLAN_USERNS_RANGES || plan->config->userns == PLAN_USERNS_HELPED;
  if (mapped && (plan->uid_map_count == 0 || plan->gid_map_count == 0))
    return "no id ranges";
  if (plan->argv_count == 0 || !valid_strings(plan, plan->argv, plan->argv_count))
    return "no command, or string out of bounds in it";
  if (!valid_strings(plan, plan->env, plan->env_count))
    return "string out of bounds in the environment";
  for (size_t i = 0; i < plan->rlimit_count; i++)
    if (plan->rlimits[i].resource >= RLIM_NLIMITS || plan->rlimits[i].soft > plan->rlimits[i].hard)
      return "limit out of range";
  return valid_strings(plan, plan->words, plan->word_count) ? NULL : "string out of bounds in a list";
}

// In this order: each may rely on what the ones above it have found to be right.
static const char *(*const checks[])(const struct plan *) = {
    check_config,           check_ops,      check_base,       plan_check_security, plan_check_services,
    plan_check_supervision, plan_check_log, plan_check_hooks, plan_check_cgroup,
};

const char *plan_check(const struct plan *plan) {
  for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
    const char *problem = checks[i](plan);
    if (problem != NULL)
      return problem;
  }
  return NULL;
}
