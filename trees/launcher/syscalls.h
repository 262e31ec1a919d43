// System calls that musl 1.2 and older glibc have no wrapper for. Return -1 and set errno, as wrappers do.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#endif
#ifndef MFD_EXEC // Linux 6.3
#define MFD_EXEC 0x10u
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ull
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

static inline int sys_clone3(struct clone_args *args) {
  return (int)syscall(SYS_clone3, args, sizeof *args);
}

static inline int sys_unshare(unsigned flags) {
  return (int)syscall(SYS_unshare, flags);
}

static inline int sys_setns(int fd, unsigned flags) {
  return (int)syscall(SYS_setns, fd, flags);
}

static inline int sys_pidfd_open(pid_t pid) {
  return (int)syscall(SYS_pidfd_open, pid, 0);
}

static inline int sys_pidfd_send_signal(int pidfd, int sig) {
  return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

static inline int sys_close_range(unsigned first, unsigned last, unsigned flags) {
  return (int)syscall(SYS_close_range, first, last, flags);
}

static inline int sys_memfd_create(const char *name, unsigned flags) {
  return (int)syscall(SYS_memfd_create, name, flags);
}

static inline int sys_openat2(int dir, const char *path, struct open_how *how) {
  return (int)syscall(SYS_openat2, dir, path, how, sizeof *how);
}

static inline int sys_execveat(int dir, const char *path, char *const argv[], char *const env[], int flags) {
  return (int)syscall(SYS_execveat, dir, path, argv, env, flags);
}

static inline int sys_pivot_root(const char *root, const char *old) {
  return (int)syscall(SYS_pivot_root, root, old);
}

static inline int sys_open_tree(int dir, const char *path, unsigned flags) {
  return (int)syscall(SYS_open_tree, dir, path, flags);
}

static inline int sys_move_mount(int from, const char *from_path, int to, const char *to_path,
                                 unsigned flags) {
  return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}

static inline int sys_fsopen(const char *type) {
  return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
}

static inline int sys_fsconfig(int fs, unsigned command, const char *key, const void *value, int aux) {
  return (int)syscall(SYS_fsconfig, fs, command, key, value, aux);
}

static inline int sys_fsmount(int fs, unsigned attributes) {
  return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
}

static inline int sys_mount_setattr(int dir, const char *path, unsigned flags,
                                    struct mount_attr *attributes) {
  return (int)syscall(SYS_mount_setattr, dir, path, flags, attributes, sizeof *attributes);
}
