#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup-files.h"
#include "cgroup-members.h"
#include "cgroup-scope.h"
#include "util.h"

// A cpuset of version 1 takes no process before it has processors and nodes; those of the one above are the
// default.
static int inherit_cpuset(int dir) {
  static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
  for (size_t i = 0; i < 2; i++) {
    char text[1024];
    char above[32];
    snprintf(above, sizeof above, "../%s", files[i]);
    if (cgroup_read(dir, files[i], text, sizeof text) != 0)
      return -1;
    if (text[0] != '\0' && text[0] != '\n')
      continue;
    if (cgroup_read(dir, above, text, sizeof text) != 0 || cgroup_write(dir, files[i], text) != 0)
      return -1;
  }
  return 0;
}

// Version 2: what a cgroup can limit is what the ones above it pass on.
static const char *enable(int dir, const char *path, const char *controllers) {
  char enabled[1024];
  if (controllers[0] == '\0')
    return NULL;
  if (cgroup_read(dir, "cgroup.subtree_control", enabled, sizeof enabled) != 0)
    return cgroup_problem("cannot read %s/cgroup.subtree_control", path);
  while (*controllers != '\0') {
    char word[64];
    size_t length = strcspn(controllers, ",");
    snprintf(word, sizeof word, "+%.*s", (int)length, controllers);
    if (!cgroup_has_word(enabled, word + 1) && cgroup_write(dir, "cgroup.subtree_control", word) != 0)
      return cgroup_problem(errno == EBUSY
                                ? "cannot pass on the %s controller below %s: there are processes in it"
                                : "cannot pass on the %s controller below %s",
                            word + 1, path);
    controllers += length + (controllers[length] == ',');
  }
  return NULL;
}

struct wanted {
  uint32_t version;
  const char *base;
  const char *name;
  const char *controllers;
};

// Opens <base>/trees, making it, with the controllers passed on.
static const char *open_parent(const struct wanted *wanted, int *parent) {
  CLEANUP_FD int base = open(wanted->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (base < 0)
    return cgroup_problem("cannot open %s", wanted->base);
  if (mkdirat(base, "trees", 0755) != 0 && errno != EEXIST)
    return cgroup_problem("cannot make %s/trees", wanted->base);
  int dir = cgroup_open(base, "trees");
  if (dir < 0)
    return cgroup_problem("cannot open %s/trees", wanted->base);
  const char *failed = NULL;
  if (wanted->version == 2) {
    failed = enable(base, wanted->base, wanted->controllers);
    if (failed == NULL)
      failed = enable(dir, wanted->base, wanted->controllers);
  } else if (strstr(wanted->controllers, "cpuset") != NULL && inherit_cpuset(dir) != 0) {
    failed = cgroup_problem("cannot set processors and memory nodes of %s/trees", wanted->base);
  }
  if (failed == NULL)
    *parent = dir;
  else
    close(dir);
  return failed;
}

static const char *add(struct cgroups *cgroups, const struct wanted *wanted) {
  if (cgroups->count == CGROUPS_MAX)
    return "too many cgroups";
  struct cgroup *cgroup = &cgroups->list[cgroups->count];
  *cgroup = (struct cgroup){.version = wanted->version, .dir = -1, .parent = -1};
  const char *failed = open_parent(wanted, &cgroup->parent);
  if (failed != NULL)
    return failed;
  cgroup->dir = cgroup_claim(cgroup->parent, wanted->name, cgroup->name);
  size_t size = strlen(wanted->base) + sizeof cgroup->name + 8;
  cgroup->path = malloc(size);
  // Of version 2 there is one for all controllers.
  cgroup->controllers = wanted->version == 2 ? "" : strdup(wanted->controllers);
  if (cgroup->dir < 0 || cgroup->path == NULL || cgroup->controllers == NULL) {
    failed = cgroup_problem("cannot make a cgroup for %s in %s/trees", wanted->name, wanted->base);
    close_fd(&cgroup->dir);
    close(cgroup->parent);
    return failed;
  }
  snprintf(cgroup->path, size, "%s/trees/%s", wanted->base, cgroup->name);
  cgroups->count++;
  if (wanted->version == 1 && strstr(wanted->controllers, "cpuset") != NULL &&
      inherit_cpuset(cgroup->dir) != 0)
    return cgroup_problem("cannot set processors and memory nodes of %s", cgroup->path);
  return NULL;
}

static char *join_words(const struct plan *plan, struct plan_words words) {
  size_t size = 1;
  for (uint32_t i = 0; i < words.count; i++)
    size += strlen(plan_word(plan, words, i)) + 1;
  char *text = malloc(size);
  if (text == NULL)
    die_errno("cannot start");
  text[0] = '\0';
  for (uint32_t i = 0; i < words.count; i++) {
    strcat(text, i == 0 ? "" : ",");
    strcat(text, plan_word(plan, words, i));
  }
  return text;
}

// The user who is root in the container.
static uid_t root_of(const struct plan *plan) {
  for (size_t i = 0; plan->config->userns == PLAN_USERNS_RANGES && i < plan->uid_map_count; i++)
    if (plan->uid_map[i].inside == 0)
      return plan->uid_map[i].outside;
  return geteuid();
}

static bool shows_cgroups(const struct plan *plan) {
  for (size_t i = 0; i < plan->op_count; i++)
    if (plan->ops[i].type == PLAN_OP_CGROUP)
      return true;
  return false;
}

// A container that sees its cgroup manages what is below it, as the kernel's documentation describes
// delegation.
static const char *delegate(const struct plan *plan, const struct cgroup *cgroup) {
  static const char *const files[] = {"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"};
  if (cgroup->version != 2 || !shows_cgroups(plan))
    return NULL;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (fchownat(cgroup->dir, files[i], root_of(plan), (gid_t)-1, AT_EMPTY_PATH) != 0)
      return cgroup_problem("cannot hand over %s to the container", cgroup->path);
  return NULL;
}

static const char *limit(const struct plan *plan, size_t index, const struct cgroup *cgroup) {
  for (size_t i = 0; i < plan->cgroup_write_count; i++) {
    const struct plan_cgroup_write *write = &plan->cgroup_writes[i];
    const char *file = plan_string(plan, write->file);
    const char *value = plan_string(plan, write->value);
    if (write->cgroup == index && cgroup_write(cgroup->dir, file, value) != 0 &&
        (write->flags & PLAN_CGROUP_OPTIONAL) == 0)
      return cgroup_problem("cannot set %s to %s in %s", file, value, cgroup->path);
  }
  return NULL;
}

static struct cgroups *made; // for whatever ends the launcher

static void remove_made(void) {
  cgroups_remove(made);
}

static const char *make(const struct plan *plan, struct cgroups *cgroups, uint32_t version) {
  made = cgroups;
  die_set_cleanup(remove_made);
  for (size_t i = 0; i < plan->cgroup_count; i++) {
    const struct plan_cgroup *planned = &plan->cgroups[i];
    if (planned->version != version)
      continue;
    const char *name = plan_string(plan, planned->name);
    const char *base = plan_string(plan, planned->base);
    if (planned->scope != PLAN_CGROUP_SCOPE_NONE)
      base = cgroup_scope_enter(base, name, planned->scope);
    char *controllers = join_words(plan, planned->controllers);
    struct wanted wanted = {.version = version, .base = base, .name = name, .controllers = controllers};
    const char *failed = add(cgroups, &wanted);
    free(controllers);
    if (failed == NULL)
      failed = limit(plan, i, &cgroups->list[cgroups->count - 1]);
    if (failed == NULL)
      failed = delegate(plan, &cgroups->list[cgroups->count - 1]);
    if (failed != NULL)
      return failed;
  }
  return NULL;
}

const char *cgroups_prepare(const struct plan *plan, struct cgroups *cgroups) {
  cgroups->count = 0;
  cgroups->init = -1;
  return plan->cgroup_count > 0 ? make(plan, cgroups, 2) : NULL;
}

int cgroups_clone_into(const struct cgroups *cgroups) {
  for (size_t i = 0; i < cgroups->count; i++)
    if (cgroups->list[i].version == 2)
      return cgroups->list[i].dir;
  return -1;
}

const char *cgroups_attach(const struct plan *plan, struct cgroups *cgroups, pid_t pid) {
  char text[24];
  if (plan->cgroup_count == 0)
    return NULL;
  const char *failed = make(plan, cgroups, 1);
  snprintf(text, sizeof text, "%d", (int)pid);
  for (size_t i = 0; failed == NULL && i < cgroups->count; i++) {
    const struct cgroup *cgroup = &cgroups->list[i];
    // ESRCH: it has died, and has said why.
    if (cgroup->version == 1 && cgroup_write(cgroup->dir, "cgroup.procs", text) != 0 && errno != ESRCH)
      failed = cgroup_problem("cannot move it to %s", cgroup->path);
  }
  return failed;
}

static bool has_controllers(const struct cgroup *cgroup, uint32_t version, const char *controllers) {
  return cgroup->version == version && (version == 2 || strcmp(cgroup->controllers, controllers) == 0);
}

const char *cgroups_join(struct cgroups *cgroups, uint32_t version, const char *base, const char *controllers,
                         const char *name, pid_t init, size_t *index) {
  struct wanted wanted = {.version = version, .base = base, .name = name, .controllers = controllers};
  for (size_t i = 0; i < cgroups->count; i++) {
    const struct cgroup *known = &cgroups->list[i];
    if (!has_controllers(known, version, controllers))
      continue;
    *index = i;
    if (version == 1)
      return NULL;
    // It is there, perhaps without this controller.
    CLEANUP_FD int above = openat(known->parent, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *failed = above < 0 ? cgroup_problem("cannot open what is above %s", known->path)
                                   : enable(above, "what is above it", controllers);
    return failed != NULL ? failed : enable(known->parent, "what is above it", controllers);
  }
  const char *failed = add(cgroups, &wanted);
  if (failed != NULL)
    return failed;
  char tail[192];
  struct cgroup *cgroup = &cgroups->list[cgroups->count - 1];
  *index = cgroups->count - 1;
  snprintf(tail, sizeof tail, "/trees/%s", cgroup->name);
  if (cgroup_move_members(cgroup->dir, init, cgroups->init, cgroup->controllers, tail) != 0)
    return cgroup_problem("cannot move the container's processes to %s", cgroup->path);
  return NULL;
}
