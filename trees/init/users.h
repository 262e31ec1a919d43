// Users and groups of the tree, from its own /etc/passwd and /etc/group.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define USER_MAX_GROUPS 256

struct user {
  uid_t uid;
  gid_t gid;
  char home[1024];
  gid_t groups[USER_MAX_GROUPS]; // supplementary
  size_t group_count;
};

// Looks up `USER[:GROUP]`, by name or number; "" is root. A number need not be in passwd: its group is then 0
// and its home /. With GROUP there are no supplementary groups. Ends the process with 125 when a name is
// unknown.
void user_find(const char *text, struct user *user);

// Adds a supplementary group, by name or number. Ends the process with 125 when the name is unknown.
void user_add_group(const char *text, struct user *user);
