#include "layers.h"

#include <stdio.h>

void layers_name(size_t index, char name[LAYERS_NAME]) {
  snprintf(name, LAYERS_NAME, "l%zu", index);
}

const char *layers_written(const struct plan *plan) {
  for (size_t i = 0; i < plan->op_count; i++)
    if (plan->ops[i].type == PLAN_OP_UPPER)
      return plan_string(plan, plan->ops[i].source);
  return plan_string(plan, plan->ops[0].source);
}

struct layers layers_of(const struct plan *plan) {
  struct layers layers = {.upper = "upperdir=" LAYERS_UPPER "/upper",
                          .work = "workdir=" LAYERS_UPPER "/work"};
  size_t used = (size_t)snprintf(layers.lower, sizeof layers.lower, "lowerdir");
  size_t count = 0;
  for (size_t i = 0; i < plan->op_count; i++) {
    const struct plan_op *op = &plan->ops[i];
    char name[LAYERS_NAME];
    if (op->type == PLAN_OP_LOWER) {
      layers_name(count, name);
      used += (size_t)snprintf(layers.lower + used, sizeof layers.lower - used, "%c%s",
                               count == 0 ? '=' : ':', name);
      count++;
    } else if (op->type == PLAN_OP_UPPER) {
      snprintf(layers.upper, sizeof layers.upper, "upperdir=" LAYERS_UPPER "/%.255s",
               plan_string(plan, op->target));
      snprintf(layers.work, sizeof layers.work, "workdir=" LAYERS_UPPER "/%.255s",
               plan_string(plan, op->data));
    }
  }
  return layers;
}
