// Turns the calling process into a command of the plan.
#pragma once
#include <stdbool.h>

#include "../launcher/plan.h"

// Whatever is absent (0, NULL) is as the plan has it for its command.
struct command {
  char *const *words;     // NULL-terminated; if there are any, instead of argv
  struct plan_words argv; // instead of the plan's command
  struct plan_words env;  // wins over the plan's
  char **extra;           // variables that win over both
  size_t extra_count;
  uint32_t user; // strings of the plan
  uint32_t workdir;
  const char *user_text; // instead of strings of the plan
  const char *workdir_text;
  const struct plan_service_link *links; // resource limits among them win over the plan's
  size_t link_count;
  bool terminal;   // standard input is a terminal of the container's own and becomes the controlling one
  bool session;    // a session of its own, also without a terminal
  bool privileged; // all capabilities there are, and none of the plan's restrictions
  int tied;        // pidfd of a process that it dies with; 0: none
  int failure;     // gets the exit status as one byte when it cannot be executed; 0: nobody asks
  int null;        // becomes standard error when nothing can fail any more; 0: that stays
};

// Called in a fresh child with every signal blocked; does not return: prints why the command could not be
// executed and ends the process with 125, 126 or 127.
_Noreturn void command_execute(const struct plan *plan, const struct command *command);

// Only makes the calling process one that may do what the command may: user, limits, working directory.
void command_prepare(const struct plan *plan, const struct command *command);
