// Drives the machine of services.h without processes and without waiting: a launch plan, a clock that jumps,
// and processes that behave as told. Reads commands, one a line, and writes what the machine does, with the
// time:
//
//   behave NAME run=MS status=N stop=MS check=N checktime=MS hook=MS   what its processes do by themselves;
//   -1: nothing exit NAME main|hook|check STATUS      one of its processes ends ready NAME | connect NAME |
//   file NAME ACTION | remains NAME 0|1 ask start|stop|restart|reload NAME stop [TIMEOUT] advance MS lets
//   time pass quiet 0|1                             whether actions are written show states of all services,
//   and of the whole
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>

#include "../services.h"

struct process {
  bool alive;
  int64_t end; // when it ends by itself
  int status;
};

struct behaviour {
  long run;
  long status;
  long stop;
  long check;
  long check_time;
  long hook;
  bool remains;
  unsigned long starts;
  struct process processes[PROCESS_KINDS];
};

static struct services machine;
static struct behaviour *behaviours;
static int64_t now;
static bool quiet;

static const char *name_of(uint32_t index) {
  return plan_string(machine.plan, machine.plan->services[index].name);
}

static void begin(struct process *process, long after, int status) {
  *process =
      (struct process){.alive = true, .end = after < 0 ? SERVICES_NEVER : now + after, .status = status};
}

static bool op_start(void *context, uint32_t index, enum service_start what) {
  static const char *const names[] = {"main", "pre-stop", "post-stop", "reload", "check"};
  struct behaviour *behaviour = &behaviours[index];
  (void)context;
  if (!quiet)
    printf("%lld start %s %s\n", (long long)now, name_of(index), names[what]);
  enum service_process process = what == START_MAIN    ? PROCESS_MAIN
                                 : what == START_CHECK ? PROCESS_CHECK
                                                       : PROCESS_HOOK;
  if (behaviour->processes[process].alive) {
    printf("WRONG: %s has such a process already\n", name_of(index));
    exit(1);
  }
  if (what == START_MAIN)
    behaviour->starts++;
  if (what == START_MAIN)
    begin(&behaviour->processes[process], behaviour->run, (int)behaviour->status);
  else if (what == START_CHECK)
    begin(&behaviour->processes[process], behaviour->check_time, (int)behaviour->check);
  else
    begin(&behaviour->processes[process], behaviour->hook, 0);
  return true;
}

static void hit(struct process *process, long after, int sig) {
  if (!process->alive || (after < 0 && sig != 9))
    return;
  int64_t end = now + (sig == 9 ? 0 : after);
  if (end < process->end)
    *process = (struct process){.alive = true, .end = end, .status = 128 + sig};
}

static void op_signal(void *context, uint32_t index, enum service_target target, int sig) {
  static const char *const names[] = {"main", "group", "hook", "check", "all"};
  struct behaviour *behaviour = &behaviours[index];
  (void)context;
  if (sig == 18)
    return; // CONT follows everything
  if (!quiet)
    printf("%lld signal %s %s %d\n", (long long)now, name_of(index), names[target], sig);
  bool hangup = sig == 1; // reload, in these tests
  if (!hangup && (target == TARGET_MAIN || target == TARGET_GROUP || target == TARGET_ALL))
    hit(&behaviour->processes[PROCESS_MAIN], behaviour->stop, sig);
  if (target == TARGET_HOOK)
    hit(&behaviour->processes[PROCESS_HOOK], 0, sig);
  if (target == TARGET_CHECK)
    hit(&behaviour->processes[PROCESS_CHECK], 0, sig);
  if (target == TARGET_ALL && sig == 9)
    behaviour->remains = false;
}

static const struct services_ops ops = {.start = op_start, .signal = op_signal};

static void settle(void) {
  services_settle(&machine, now);
  for (bool told = true; told;) {
    told = false;
    for (uint32_t i = 0; i < machine.count; i++)
      if (machine.list[i].census && (!behaviours[i].remains || !machine.list[i].asked_rest)) {
        services_remains(&machine, i, behaviours[i].remains, now);
        told = !behaviours[i].remains || told;
      }
    services_settle(&machine, now);
  }
  if (!machine.ended && services_next(&machine) <= now) {
    services_tick(&machine, now);
    services_settle(&machine, now);
  }
}

static int64_t next_time(int64_t limit) {
  int64_t next = services_next(&machine);
  for (uint32_t i = 0; i < machine.count; i++)
    for (int p = 0; p < PROCESS_KINDS; p++)
      if (behaviours[i].processes[p].alive && behaviours[i].processes[p].end < next)
        next = behaviours[i].processes[p].end;
  return next < limit ? next : limit;
}

static void end_process(uint32_t index, enum service_process process, int status) {
  static const char *const names[] = {"main", "hook", "check"};
  behaviours[index].processes[process].alive = false;
  if (!quiet)
    printf("%lld exit %s %s %d\n", (long long)now, name_of(index), names[process], status);
  services_exited(&machine, index, process, status, now);
}

static void advance(int64_t duration) {
  int64_t limit = now + duration;
  unsigned long still = 0;
  while (!machine.ended) {
    int64_t next = next_time(limit);
    still = next <= now ? still + 1 : 0;
    if (still > 100000) {
      printf("WRONG: time stands still\n");
      exit(1);
    }
    if (next > now)
      now = next;
    for (uint32_t i = 0; i < machine.count; i++)
      for (int p = 0; p < PROCESS_KINDS; p++) {
        const struct process *process = &behaviours[i].processes[p];
        if (process->alive && process->end <= now)
          end_process(i, (enum service_process)p, process->status);
      }
    services_tick(&machine, now);
    settle();
    if (now >= limit && next_time(limit + 1) > now)
      break;
  }
}

static void show(void) {
  for (uint32_t i = 0; i < machine.count; i++)
    printf("%lld %s %s exit=%d restarts=%u health=%s starts=%lu\n", (long long)now, name_of(i),
           services_state_name(&machine.list[i]), machine.list[i].exit, machine.list[i].restarts,
           services_health_name(&machine.list[i]), behaviours[i].starts);
  if (machine.ended)
    printf("%lld ended %d\n", (long long)now, machine.status);
}

static uint32_t find(const char *name) {
  for (uint32_t i = 0; i < machine.count; i++)
    if (strcmp(name_of(i), name) == 0)
      return i;
  printf("WRONG: no service %s\n", name);
  exit(1);
}

static void behave(struct behaviour *behaviour, const char *words) {
  static const char *const names[] = {"run", "status", "stop", "check", "checktime", "hook"};
  long *values[] = {&behaviour->run,   &behaviour->status,     &behaviour->stop,
                    &behaviour->check, &behaviour->check_time, &behaviour->hook};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char wanted[16];
    snprintf(wanted, sizeof wanted, " %s=", names[i]);
    const char *at = strstr(words, wanted);
    if (at != NULL)
      *values[i] = strtol(at + strlen(wanted), NULL, 10);
  }
}

static enum service_process process_named(const char *name) {
  return strcmp(name, "check") == 0 ? PROCESS_CHECK : strcmp(name, "hook") == 0 ? PROCESS_HOOK : PROCESS_MAIN;
}

static void ask(const char *verb, uint32_t index) {
  if (strcmp(verb, "start") == 0)
    services_ask_start(&machine, index, now);
  else if (strcmp(verb, "stop") == 0)
    services_ask_stop(&machine, index);
  else if (strcmp(verb, "restart") == 0)
    services_ask_restart(&machine, index, now);
  else if (!services_ask_reload(&machine, index))
    printf("%lld cannot reload %s\n", (long long)now, name_of(index));
}

static enum plan_action action_named(const char *name) {
  static const char *const names[] = {"none", "reload", "restart", "stop", "start"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i], name) == 0)
      return (enum plan_action)i;
  return PLAN_ACTION_NONE;
}

static void command(char *line) {
  char verb[32] = "";
  char first[80] = "";
  char second[80] = "";
  long number = 0;
  int count = sscanf(line, "%31s %79s %79s %ld", verb, first, second, &number);
  if (strcmp(verb, "advance") == 0)
    advance(strtoll(first, NULL, 10));
  else if (strcmp(verb, "quiet") == 0)
    quiet = first[0] == '1';
  else if (strcmp(verb, "show") == 0)
    show();
  else if (strcmp(verb, "next") == 0 && services_next(&machine) == SERVICES_NEVER)
    printf("%lld next never\n", (long long)now);
  else if (strcmp(verb, "next") == 0)
    printf("%lld next %lld\n", (long long)now, (long long)services_next(&machine));
  else if (strcmp(verb, "stop") == 0)
    services_stop_all(&machine, -1, count > 1 ? (uint32_t)strtoul(first, NULL, 10) : UINT32_MAX, now);
  else if (strcmp(verb, "behave") == 0)
    behave(&behaviours[find(first)], line);
  else if (strcmp(verb, "exit") == 0)
    end_process(find(first), process_named(second), (int)number);
  else if (strcmp(verb, "ready") == 0)
    services_ready(&machine, find(first), now);
  else if (strcmp(verb, "connect") == 0)
    services_connection(&machine, find(first));
  else if (strcmp(verb, "file") == 0)
    services_file_changed(&machine, find(first), action_named(second), now);
  else if (strcmp(verb, "remains") == 0)
    behaviours[find(first)].remains = second[0] == '1';
  else if (strcmp(verb, "ask") == 0)
    ask(first, find(second));
  if (!machine.ended)
    settle();
}

int main(int argc, char **argv) {
  struct plan plan;
  int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
  const char *problem = fd < 0 ? "cannot be opened" : plan_map(fd, &plan);
  if (problem != NULL) {
    printf("WRONG: plan: %s\n", problem);
    return 1;
  }
  void *memory = calloc(1, services_size(&plan));
  behaviours = calloc(plan.service_count, sizeof *behaviours);
  if (memory == NULL || behaviours == NULL)
    return 1;
  for (size_t i = 0; i < plan.service_count; i++)
    behaviours[i] = (struct behaviour){.run = -1, .check_time = 1, .hook = 1};
  services_begin(&machine, &plan, memory, &ops, NULL, now);
  char line[512];
  bool begun = false;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (!begun && strncmp(line, "behave", 6) != 0 && strncmp(line, "quiet", 5) != 0) {
      begun = true;
      settle();
    }
    if (begun)
      command(line);
    else if (strncmp(line, "quiet", 5) == 0)
      quiet = line[6] == '1';
    else {
      char name[80];
      if (sscanf(line, "behave %79s", name) == 1)
        behave(&behaviours[find(name)], line);
    }
  }
  free(memory);
  free(behaviours);
  return 0;
}
