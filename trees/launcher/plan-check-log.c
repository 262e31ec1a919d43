#include "plan-check.h"

const char *plan_check_log(const struct plan *plan) {
  const struct plan_log *log = plan->log;
  if (log == NULL)
    return NULL;
  if (!plan_valid_string(plan, log->directory) || !plan_valid_string(plan, log->instance) ||
      !plan_valid_words(plan, log->compress))
    return "string out of bounds in the log's settings";
  if ((log->flags & ~(uint32_t)PLAN_LOG_FLAGS) != 0)
    return "unknown flag in the log's settings";
  if (log->directory != 0 && !plan_absolute(plan, log->directory))
    return "directory of the log is not absolute";
  if (log->compress.count > PLAN_LOG_MAX_COMPRESS ||
      (log->compress.count > 0 && plan_word(plan, log->compress, 0)[0] != '/'))
    return "command that compresses the log is too long or not absolute";
  return NULL;
}
