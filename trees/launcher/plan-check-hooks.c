#include "plan-check.h"

const char *plan_check_hooks(const struct plan *plan) {
  if (plan->hook_count > PLAN_MAX_HOOKS)
    return "too many hooks";
  for (size_t i = 0; i < plan->hook_count; i++) {
    const struct plan_hook *hook = &plan->hooks[i];
    if (hook->phase == 0 || hook->phase >= PLAN_HOOK_END)
      return "unknown kind of hook";
    if (!plan_valid_words(plan, hook->command) || hook->command.count == 0 ||
        hook->command.count > PLAN_MAX_HOOK_WORDS || plan_word(plan, hook->command, 0)[0] == '\0')
      return "hook without a command, or with one that is too long";
  }
  return NULL;
}
