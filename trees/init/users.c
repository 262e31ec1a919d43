#include "users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../launcher/syscalls.h"
#include "../launcher/util.h"

#define MAX_FILE (4 << 20)
#define MAX_FIELDS 8

// The whole file, or NULL if there is none. The tree is not to be trusted: a FIFO must not block, a device or
// a magic link into /proc must not be read.
static char *read_database(const char *path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                         .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  CLEANUP_FD int root = open("/", O_PATH | O_CLOEXEC);
  CLEANUP_FD int fd = sys_openat2(root, path, &how);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
    return NULL;
  if (status.st_size > MAX_FILE)
    die("cannot look up users: %s is larger than 4 MiB", path);
  char *text = malloc((size_t)status.st_size + 1);
  if (text == NULL)
    die_errno("cannot read %s", path);
  size_t size = 0;
  ssize_t count;
  while (size < (size_t)status.st_size &&
         (count = RETRY(read(fd, text + size, (size_t)status.st_size - size))) > 0)
    size += (size_t)count;
  text[size] = '\0';
  return text;
}

// Strictly decimal: "0x0", "+0" or "" must never become root (CVE-2026-30892).
static bool parse_id(const char *text, unsigned *id) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 10 || text[digits] != '\0')
    return false;
  unsigned long value = strtoul(text, NULL, 10);
  if (value >= UINT32_MAX)
    return false;
  *id = (unsigned)value;
  return true;
}

// Splits the next line in place. False at the end.
static bool next_line(char **at, char *fields[MAX_FIELDS], size_t *count) {
  if (**at == '\0')
    return false;
  char *line = *at;
  char *end = strchr(line, '\n');
  *at = end == NULL ? line + strlen(line) : end + 1;
  if (end != NULL)
    *end = '\0';
  for (*count = 0; *count < MAX_FIELDS && line != NULL; (*count)++) {
    fields[*count] = line;
    line = strchr(line, ':');
    if (line != NULL)
      *line++ = '\0';
  }
  return true;
}

// passwd: name:password:uid:gid:gecos:home:shell. Leaves the name found in `name`.
static bool find_passwd(const char *wanted, struct user *user, char *name, size_t name_size) {
  unsigned wanted_id = 0;
  bool numeric = parse_id(wanted, &wanted_id);
  char *text = read_database("/etc/passwd");
  char *at = text;
  char *fields[MAX_FIELDS];
  size_t count;
  bool found = false;
  while (!found && at != NULL && next_line(&at, fields, &count)) {
    unsigned uid;
    unsigned gid;
    if (count < 6 || !parse_id(fields[2], &uid) || !parse_id(fields[3], &gid))
      continue;
    if (strcmp(fields[0], wanted) != 0 && !(numeric && uid == wanted_id))
      continue;
    user->uid = uid;
    user->gid = gid;
    snprintf(user->home, sizeof user->home, "%s", fields[5][0] == '/' ? fields[5] : "/");
    snprintf(name, name_size, "%s", fields[0]);
    found = true;
  }
  free(text);
  return found;
}

static void find_group(const char *wanted, gid_t *gid) {
  unsigned id;
  if (parse_id(wanted, &id)) {
    *gid = id;
    return;
  }
  char *text = read_database("/etc/group");
  char *at = text;
  char *fields[MAX_FIELDS];
  size_t count;
  while (at != NULL && next_line(&at, fields, &count)) {
    if (count < 3 || strcmp(fields[0], wanted) != 0 || !parse_id(fields[2], &id))
      continue;
    *gid = id;
    free(text);
    return;
  }
  die("cannot find the group %s in the tree's /etc/group", wanted);
}

static bool is_member(char *members, const char *name) {
  char *state;
  for (char *member = strtok_r(members, ",", &state); member != NULL; member = strtok_r(NULL, ",", &state))
    if (strcmp(member, name) == 0)
      return true;
  return false;
}

static void find_supplementary(const char *name, struct user *user) {
  char *text = read_database("/etc/group");
  char *at = text;
  char *fields[MAX_FIELDS];
  size_t count;
  unsigned gid;
  while (at != NULL && next_line(&at, fields, &count)) {
    if (count < 4 || !parse_id(fields[2], &gid) || !is_member(fields[3], name))
      continue;
    if (user->group_count < USER_MAX_GROUPS)
      user->groups[user->group_count++] = gid;
  }
  free(text);
}

void user_find(const char *text, struct user *user) {
  char wanted[256];
  char name[256] = "";
  const char *colon = strchr(text, ':');
  size_t length = colon == NULL ? strlen(text) : (size_t)(colon - text);
  if (length >= sizeof wanted)
    die("cannot find the user %.64s…: the name is too long", text);
  memcpy(wanted, text, length);
  wanted[length] = '\0';
  if (wanted[0] == '\0')
    strcpy(wanted, "0");

  *user = (struct user){.home = "/"};
  if (!find_passwd(wanted, user, name, sizeof name)) {
    unsigned uid;
    if (!parse_id(wanted, &uid))
      die("cannot find the user %s in the tree's /etc/passwd", wanted);
    user->uid = uid;
  }
  if (colon != NULL)
    find_group(colon + 1, &user->gid);
  else if (name[0] != '\0')
    find_supplementary(name, user);
}

void user_add_group(const char *text, struct user *user) {
  if (user->group_count == USER_MAX_GROUPS)
    die("cannot add the group %s: there are %d already", text, USER_MAX_GROUPS);
  find_group(text, &user->groups[user->group_count++]);
}
