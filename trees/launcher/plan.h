// The launch plan: everything the launcher and the init need to know about one container, in one flat file
// that is mapped and used in place. Written by trees/run/plan-format.ts; both sides must agree on every
// number here.
//
// Layout: header, section table, sections. Integers are little-endian, every section starts at a multiple
// of 8. Strings are offsets into the string section, which begins and ends with a NUL: every offset inside it
// is a valid C string, and offset 0 is the empty string, meaning "absent".
//
// A plan is not trusted to be well formed: plan_parse() checks every count, offset and number before it is
// used.
//
// To add a section: its number and records here (or in a header of its own), a line in the table of plan.c,
// a check (plan-check.h), and its entry in plan-format.ts.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan-cgroup.h"
#include "plan-hooks.h"
#include "plan-log.h"
#include "plan-security.h"
#include "plan-services.h"
#include "plan-supervision.h"

#define PLAN_MAGIC "TREEPLAN"
#define PLAN_VERSION 2u
#define PLAN_MAX_SIZE (16u << 20)
#define PLAN_MAX_OPS 4096u
#define PLAN_MAX_LAYERS 64u

struct plan_header {
  char magic[8];
  uint32_t version;
  uint32_t crc;  // CRC-32 (as zlib) of everything that follows this field
  uint32_t size; // of the whole file, bytes
  uint32_t section_count;
};

enum plan_section_type {
  PLAN_SECTION_CONFIG = 1, // one struct plan_config
  PLAN_SECTION_OPS,        // struct plan_op
  PLAN_SECTION_ARGV,       // uint32_t string offsets
  PLAN_SECTION_ENV,        // uint32_t string offsets, NAME=VALUE
  PLAN_SECTION_UID_MAP,    // struct plan_id_map
  PLAN_SECTION_GID_MAP,    // struct plan_id_map
  PLAN_SECTION_RLIMITS,    // struct plan_rlimit
  PLAN_SECTION_STRINGS,    // bytes
  // What is absent from here on is a feature that is off.
  PLAN_SECTION_SECCOMP = 9,        // struct sock_filter, the system call filter
  PLAN_SECTION_LANDLOCK = 10,      // struct plan_landlock_rule
  PLAN_SECTION_SECURITY = 11,      // one struct plan_security
  PLAN_SECTION_CGROUP = 12,        // struct plan_cgroup
  PLAN_SECTION_CGROUP_WRITE = 13,  // struct plan_cgroup_write
  PLAN_SECTION_SUPERVISION = 14,   // one struct plan_supervision
  PLAN_SECTION_WORDS = 15,         // uint32_t string offsets that lists in other sections are ranges of
  PLAN_SECTION_SERVICES = 16,      // what the init runs
  PLAN_SECTION_SERVICE_LINKS = 17, // their order
  PLAN_SECTION_HOOKS = 18,         // commands around the container's life
  PLAN_SECTION_LOG = 19,           // one record: where output is stored
  PLAN_SECTION_SYSCTL = 20,        // struct plan_sysctl
  PLAN_SECTION_END
};

struct plan_section {
  uint32_t type;
  uint32_t offset; // from the start of the file, bytes
  uint32_t count;  // records (bytes for strings)
  uint32_t reserved;
};

enum plan_namespace {
  PLAN_NS_MOUNT = 1 << 0,
  PLAN_NS_PID = 1 << 1,
  PLAN_NS_IPC = 1 << 2,
  PLAN_NS_UTS = 1 << 3,
  PLAN_NS_CGROUP = 1 << 4,
  PLAN_NS_NET = 1 << 5,
  PLAN_NS_ALL = (1 << 6) - 1,
  // The launcher's work relies on it; the rest is a choice.
  PLAN_NS_REQUIRED = PLAN_NS_MOUNT
};

enum plan_userns {
  PLAN_USERNS_HOST,   // none: root inside is root outside
  PLAN_USERNS_RANGES, // the maps of the plan
  PLAN_USERNS_SELF,   // id 0 inside is the caller
  PLAN_USERNS_HELPED, // the maps of the plan, for an unprivileged caller: newuidmap and newgidmap set them
  PLAN_USERNS_END
};

enum plan_root {
  PLAN_ROOT_PERSISTENT, // overlay, upper directory on disk
  PLAN_ROOT_EPHEMERAL,  // overlay, upper directory in memory
  PLAN_ROOT_READONLY,   // as ephemeral while mount points are made, then read-only
  PLAN_ROOT_END
};

enum plan_flag {
  PLAN_NO_NEW_PRIVILEGES = 1 << 0,
  PLAN_NO_INIT = 1 << 1, // the command is PID 1
  PLAN_SYSTEM = 1 << 2,  // and is an init: it powers off and reboots by reboot(2)
  PLAN_FLAGS = (1 << 3) - 1
};

struct plan_config {
  uint32_t flags; // enum plan_flag
  uint32_t namespaces;
  uint32_t userns;
  uint32_t root;
  uint32_t hostname; // strings from here
  uint32_t workdir;
  uint32_t user;
  uint32_t lock_file;    // held shared: the tree is in use
  uint64_t capabilities; // bounding, permitted and effective set of the command when it is root
  uint64_t upper_size;   // bytes for an upper in memory, 0: the kernel's default
  uint32_t stop_timeout; // milliseconds
  uint32_t own_lock;     // string; held exclusively: nobody else has this instance
};

enum plan_op_type {
  PLAN_OP_LOWER = 1, // source: host directory, topmost first
  PLAN_OP_UPPER,     // source: host directory; target, data: names of upper and work directory in it
  PLAN_OP_BIND,      // source: host path; target
  PLAN_OP_DEVICE,    // source: host device node; target; number: expected st_rdev
  PLAN_OP_TMPFS,     // target, mode, number: size in bytes or 0
  PLAN_OP_PROC,      // data: mount options, separated by commas
  PLAN_OP_SYSFS,
  PLAN_OP_MQUEUE,
  PLAN_OP_DEVPTS,   // number: gid of terminals or UINT64_MAX
  PLAN_OP_SYMLINK,  // target: link, data: what it says
  PLAN_OP_DIR,      // target, mode
  PLAN_OP_FILE,     // target: mount point, data: content, mode
  PLAN_OP_MASK,     // target: hidden by an empty directory or /dev/null; skipped if absent
  PLAN_OP_READONLY, // target: made read-only; skipped if absent
  PLAN_OP_CGROUP,   // target: the container's own cgroups of version 2
  PLAN_OP_NOTIFY,   // target: socket where process 1, the command, says that it is ready (sd_notify(3)); mode
  PLAN_OP_END
};

enum plan_op_flag {
  PLAN_OPF_RDONLY = 1 << 0,
  PLAN_OPF_NOSUID = 1 << 1,
  PLAN_OPF_NODEV = 1 << 2,
  PLAN_OPF_NOEXEC = 1 << 3,
  PLAN_OPF_RECURSIVE = 1 << 4,
  PLAN_OPF_IDMAP = 1 << 5,    // show ids as they are on disk
  PLAN_OPF_OPTIONAL = 1 << 6, // skip when the source is missing or the kernel refuses
  PLAN_OPF_REAL_DIR = 1 << 7, // refuse a target with a symlink in its path
  // Of what comes from the host; without them, nothing is seen of later mounts on either side.
  PLAN_OPF_SLAVE = 1 << 8,  // later mounts of the host are seen inside
  PLAN_OPF_SHARED = 1 << 9, // and the other way
  PLAN_OPF_ALL = (1 << 10) - 1
};

struct plan_op {
  uint32_t type;
  uint32_t flags;
  uint32_t source; // strings
  uint32_t target;
  uint32_t data;
  uint32_t mode;
  uint64_t number;
};

struct plan_id_map {
  uint32_t inside;
  uint32_t outside;
  uint32_t count;
  uint32_t reserved;
};

struct plan_rlimit {
  uint32_t resource; // RLIMIT_*
  uint32_t required; // failing to set it: 1 ends the start, 0 warns
  uint64_t soft;     // UINT64_MAX: unlimited
  uint64_t hard;
};

// A checked plan. Everything points into the mapped file.
struct plan {
  const struct plan_config *config;
  const struct plan_op *ops;
  size_t op_count;
  const uint32_t *argv;
  size_t argv_count;
  const uint32_t *env;
  size_t env_count;
  const struct plan_id_map *uid_map;
  size_t uid_map_count;
  const struct plan_id_map *gid_map;
  size_t gid_map_count;
  const struct plan_rlimit *rlimits;
  size_t rlimit_count;
  const char *strings;
  size_t strings_size;
  const uint32_t *words;
  size_t word_count;
  // NULL or 0: absent.
  const struct sock_filter *seccomp;
  size_t seccomp_count;
  const struct plan_landlock_rule *landlock;
  size_t landlock_count;
  const struct plan_security *security;
  const struct plan_hook *hooks;
  size_t hook_count;
  const struct plan_log *log;
  const struct plan_sysctl *sysctl;
  size_t sysctl_count;
  const struct plan_cgroup *cgroups;
  size_t cgroup_count;
  const struct plan_cgroup_write *cgroup_writes;
  size_t cgroup_write_count;
  const struct plan_service *services;
  size_t service_count;
  const struct plan_service_link *service_links;
  size_t service_link_count;
  const struct plan_supervision *supervision;
};

// Checks `size` bytes at `bytes` (aligned to 8) and fills `plan`. Returns NULL, or what is wrong with the
// plan.
const char *plan_parse(const void *bytes, size_t size, struct plan *plan);

// Maps the file and parses it. The mapping stays for the life of the process. Returns NULL or what is wrong.
const char *plan_map(int fd, struct plan *plan);

// The string at an offset that plan_parse() has checked.
const char *plan_string(const struct plan *plan, uint32_t offset);

// The string at place `index` of a list that plan_parse() has checked.
const char *plan_word(const struct plan *plan, struct plan_words list, uint32_t index);

// The operation that makes a socket for what process 1 says, or NULL.
const struct plan_op *plan_notify(const struct plan *plan);

// The container's processes are some of the host's: the kernel does not end them with its first one.
bool plan_shares_pids(const struct plan *plan);

// Made for a caller without rights on the host: what comes from there is opened in the container's
// namespaces, by its own root.
bool plan_unprivileged(const struct plan *plan);

uint32_t plan_crc32(const void *bytes, size_t size);
