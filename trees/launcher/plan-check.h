// Checks of a plan's content, once its sections are known to lie inside of it. Each returns NULL, or what is
// wrong. An optional section's check is in a file of its own (plan-check-*.c), is declared here and has a
// line in plan-check.c; it returns NULL when the section is absent.
#pragma once
#include "plan.h"

// Runs all checks.
const char *plan_check(const struct plan *plan);

const char *plan_check_cgroup(const struct plan *plan);
const char *plan_check_hooks(const struct plan *plan);
const char *plan_check_log(const struct plan *plan);
const char *plan_check_security(const struct plan *plan);
const char *plan_check_services(const struct plan *plan);
const char *plan_check_supervision(const struct plan *plan);

// For checks: is this the offset of a string?
bool plan_valid_string(const struct plan *plan, uint32_t offset);

// For checks: is this a list of strings? The words themselves are checked before any optional section.
bool plan_valid_words(const struct plan *plan, struct plan_words list);

// For checks of valid strings: an absolute path; a name of one path component.
bool plan_absolute(const struct plan *plan, uint32_t offset);
bool plan_component(const struct plan *plan, uint32_t offset);
