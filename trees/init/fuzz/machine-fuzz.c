// Fuzzes the machine of services.h: some services whose properties, and a life whose events, come from the
// input. What must hold whatever happens: no process is started twice, none before what it requires is up,
// and when everything is stopped and every process dies, it is over. With libFuzzer (clang
// -fsanitize=fuzzer,address,undefined).
#include <stdlib.h>
#include <string.h>

#include "../services-internal.h"

#define SERVICES 6u
#define LINKS 24u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
  const uint8_t *at;
  const uint8_t *end;
};

struct world {
  struct services machine;
  bool alive[SERVICES][PROCESS_KINDS];
  bool dying[SERVICES][PROCESS_KINDS];
};

static unsigned take(struct input *input, unsigned limit) {
  return input->at == input->end ? 0 : *input->at++ % limit;
}

static void require(bool condition) {
  if (!condition)
    abort();
}

static enum service_process process_of(enum service_start what) {
  return what == START_MAIN ? PROCESS_MAIN : what == START_CHECK ? PROCESS_CHECK : PROCESS_HOOK;
}

static bool op_start(void *context, uint32_t index, enum service_start what) {
  struct world *world = context;
  const struct service *service = &world->machine.list[index];
  enum service_process process = process_of(what);
  require(!world->alive[index][process]);
  for (uint32_t l = 0; what == START_MAIN && l < service->plan->link_count; l++) {
    const struct plan_service_link *link = &service->links[l];
    const struct service *target = &world->machine.list[link->target];
    if (link->kind == PLAN_LINK_REQUIRES)
      require(target->state == SERVICE_READY || target->done);
  }
  world->alive[index][process] = true;
  world->dying[index][process] = false;
  return true;
}

static void op_signal(void *context, uint32_t index, enum service_target target, int sig) {
  struct world *world = context;
  if (sig != 9)
    return;
  if (target == TARGET_HOOK)
    world->dying[index][PROCESS_HOOK] = true;
  else if (target == TARGET_CHECK)
    world->dying[index][PROCESS_CHECK] = true;
  else
    world->dying[index][PROCESS_MAIN] = true;
}

static const struct services_ops ops = {.start = op_start, .signal = op_signal};

static void make_services(struct input *input, struct plan_service *list, struct plan_service_link *links) {
  uint32_t used = 0;
  unsigned main = take(input, SERVICES * 2);
  for (uint32_t i = 0; i < SERVICES; i++) {
    unsigned bits = take(input, 256);
    struct plan_service *service = &list[i];
    *service = (struct plan_service){.restart = take(input, PLAN_SERVICE_RESTART_END),
                                     .restart_max = take(input, 2) == 0 ? PLAN_NO_LIMIT : take(input, 4),
                                     .restart_delay = take(input, 50),
                                     .restart_max_delay = 200,
                                     .restart_reset = take(input, 200),
                                     .ready = take(input, PLAN_READY_HEALTH),
                                     .ready_timeout = take(input, 100),
                                     .when_source = PLAN_NO_SERVICE,
                                     .stop_signal = 15,
                                     .stop_timeout = take(input, 100),
                                     .link_first = used};
    if (main == i)
      service->flags |= PLAN_SERVICE_MAIN;
    if ((bits & 1) != 0)
      service->flags |= PLAN_SERVICE_ONESHOT;
    if ((bits & 2) != 0)
      service->pre_stop.count = 1;
    if ((bits & 4) != 0)
      service->post_stop.count = 1;
    if ((bits & 8) != 0)
      service->health = (struct plan_health){.kind = PLAN_CHECK_EXEC,
                                             .on_failure = take(input, PLAN_UNHEALTHY_END),
                                             .interval = 1 + take(input, 60),
                                             .timeout = 1 + take(input, 60),
                                             .retries = 1 + take(input, 3)};
    if ((bits & 16) != 0 && main != i) {
      service->when_source = (i + 1 + take(input, SERVICES - 1)) % SERVICES;
      service->when_event = 1u << take(input, 10);
      service->when_each = take(input, 2);
      service->when_interval = take(input, 3) == 0 ? 1 + take(input, 100) : 0;
      service->when_timeout = take(input, 100);
    } else if ((bits & 32) != 0 && main != i) {
      service->when_interval = 1 + take(input, 100);
    }
    service->reload_signal = (bits & 64) != 0 ? 1 : 0;
    // Only to earlier ones, so that there is no cycle.
    for (unsigned l = take(input, 4); i > 0 && l > 0 && used < LINKS; l--)
      links[used++] = (struct plan_service_link){.kind = take(input, PLAN_LINK_FILE),
                                                 .target = take(input, i),
                                                 .number = 1u << take(input, 10),
                                                 .action = take(input, PLAN_ACTION_END)};
    service->link_count = used - service->link_first;
  }
}

static void finish(struct world *world, uint32_t index, enum service_process process, int status,
                   int64_t now) {
  if (!world->alive[index][process])
    return;
  world->alive[index][process] = false;
  services_exited(&world->machine, index, process, status, now);
}

static void settle(struct world *world, int64_t now) {
  services_settle(&world->machine, now);
  for (uint32_t i = 0; i < SERVICES; i++)
    if (world->machine.list[i].census)
      services_remains(&world->machine, i, false, now);
  services_settle(&world->machine, now);
}

static void step(struct world *world, struct input *input, int64_t *now) {
  struct services *machine = &world->machine;
  uint32_t index = take(input, SERVICES);
  switch (take(input, 12)) {
  case 0:
  case 1:
    finish(world, index, (enum service_process)take(input, PROCESS_KINDS), (int)take(input, 4), *now);
    break;
  case 2:
    services_ready(machine, index, *now);
    break;
  case 3:
    services_ask_start(machine, index, *now);
    break;
  case 4:
    services_ask_stop(machine, index);
    break;
  case 5:
    services_ask_restart(machine, index, *now);
    break;
  case 6:
    services_ask_reload(machine, index);
    break;
  case 7:
    services_file_changed(machine, index, (enum plan_action)take(input, PLAN_ACTION_END), *now);
    break;
  case 8:
    if (take(input, 8) == 0)
      services_stop_all(machine, -1, UINT32_MAX, *now);
    break;
  default:
    *now += take(input, 120);
    services_tick(machine, *now);
    break;
  }
}

// Every process ends when it is killed, and time goes on: all must be over soon.
static void end_all(struct world *world, int64_t now) {
  services_stop_all(&world->machine, -1, UINT32_MAX, now);
  for (int round = 0; round < 4000 && !world->machine.ended; round++) {
    settle(world, now);
    for (uint32_t i = 0; i < SERVICES; i++)
      for (int p = 0; p < PROCESS_KINDS; p++)
        if (world->dying[i][p])
          finish(world, i, (enum service_process)p, 137, now);
    settle(world, now);
    int64_t next = services_next(&world->machine);
    require(world->machine.ended || next != SERVICES_NEVER);
    now = next > now && next != SERVICES_NEVER ? next : now + 1;
    services_tick(&world->machine, now);
  }
  require(world->machine.ended);
  require(world->machine.status >= 0 && world->machine.status <= 255);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {.at = data, .end = data + size};
  struct plan_service list[SERVICES];
  struct plan_service_link links[LINKS] = {0};
  make_services(&input, list, links);
  struct plan plan = {
      .services = list, .service_count = SERVICES, .service_links = links, .service_link_count = LINKS};
  // Links that no service has count for the size only.
  void *memory = calloc(1, services_size(&plan));
  if (memory == NULL)
    abort();
  static struct world world;
  world = (struct world){0};
  int64_t now = 1000;
  services_begin(&world.machine, &plan, memory, &ops, &world, now);
  settle(&world, now);
  while (input.at < input.end && !world.machine.ended) {
    step(&world, &input, &now);
    settle(&world, now);
  }
  if (!world.machine.ended)
    end_all(&world, now);
  free(memory);
  return 0;
}
