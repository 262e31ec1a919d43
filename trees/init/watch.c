#include "watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "../launcher/util.h"

// Written, replaced or gone; for a directory, what is in it.
#define OWN_EVENTS                                                                                           \
  (IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |       \
   IN_MOVE_SELF)
#define PARENT_EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

size_t watches_count(const struct plan *plan) {
  size_t count = 0;
  for (size_t i = 0; i < plan->service_link_count; i++)
    count += plan->service_links[i].kind == PLAN_LINK_FILE;
  return count;
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

static void watch_own(const struct watches *watches, struct watch *watch) {
  watch->own = inotify_add_watch(watches->fd, watch->path, OWN_EVENTS | IN_MASK_ADD);
}

static void open_one(struct watches *watches, struct watch *watch) {
  char parent[PATH_MAX];
  size_t length = (size_t)(base_name(watch->path) - watch->path);
  if (length >= sizeof parent)
    return;
  memcpy(parent, watch->path, length);
  parent[length > 1 ? length - 1 : length] = '\0';
  watch->parent = inotify_add_watch(watches->fd, parent, PARENT_EVENTS | IN_MASK_ADD);
  if (watch->parent < 0)
    warning_errno("cannot watch %s", parent);
  watch_own(watches, watch);
  if (watch->own < 0 && errno != ENOENT)
    warning_errno("cannot watch %s", watch->path);
}

void watches_open(struct watches *watches, const struct plan *plan, struct watch *list) {
  *watches = (struct watches){.fd = -1, .list = list};
  for (uint32_t i = 0; i < plan->service_count; i++) {
    const struct plan_service *service = &plan->services[i];
    for (uint32_t l = 0; l < service->link_count; l++) {
      const struct plan_service_link *link = &plan->service_links[service->link_first + l];
      if (link->kind != PLAN_LINK_FILE)
        continue;
      list[watches->count++] = (struct watch){.path = plan_string(plan, link->text),
                                              .service = i,
                                              .action = link->action,
                                              .quiet = (int64_t)link->a,
                                              .due = INT64_MAX};
    }
  }
  if (watches->count == 0)
    return;
  watches->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (watches->fd < 0)
    warning_errno("cannot watch files");
  for (size_t i = 0; watches->fd >= 0 && i < watches->count; i++)
    open_one(watches, &list[i]);
}

static void happened(struct watches *watches, const struct inotify_event *event, int64_t now) {
  for (size_t i = 0; i < watches->count; i++) {
    struct watch *watch = &watches->list[i];
    bool lost = (event->mask & IN_Q_OVERFLOW) != 0;
    bool own = event->wd == watch->own;
    bool named =
        event->wd == watch->parent && event->len > 0 && strcmp(event->name, base_name(watch->path)) == 0;
    if (!lost && !own && !named)
      continue;
    // Another file may be there now, or none.
    if (named || (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) != 0)
      watch_own(watches, watch);
    watch->due = now + watch->quiet;
  }
}

void watches_read(struct watches *watches, int64_t now) {
  _Alignas(struct inotify_event) char buffer[4096];
  long size = RETRY(read(watches->fd, buffer, sizeof buffer));
  for (long at = 0; at < size;) {
    const struct inotify_event *event = (const struct inotify_event *)(void *)(buffer + at);
    happened(watches, event, now);
    at += (long)(sizeof *event + event->len);
  }
}

int64_t watches_next(const struct watches *watches) {
  int64_t next = INT64_MAX;
  for (size_t i = 0; i < watches->count; i++)
    if (watches->list[i].due < next)
      next = watches->list[i].due;
  return next;
}

const struct watch *watches_take(struct watches *watches, int64_t now) {
  for (size_t i = 0; i < watches->count; i++)
    if (watches->list[i].due <= now) {
      watches->list[i].due = INT64_MAX;
      return &watches->list[i];
    }
  return NULL;
}
