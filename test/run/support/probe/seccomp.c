// Tries system calls and prints for each what it left in errno, or 0.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIOCLINUX_ 0x541c
#define HIGH (1ul << 32)

static void report(const char *name, long result) {
  printf("%s %s\n", name, result >= 0 ? "0" : strerrorname_np(errno));
  fflush(stdout);
}

// In a child: it may change the process.
static void try_apart(const char *name, long number, unsigned long argument) {
  pid_t child = fork();
  if (child == 0) {
    report(name, syscall(number, argument));
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

static void clone_user(void) {
  long result = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (result == 0)
    _exit(0);
  report("clone-user", result);
}

static void ioctls(void) {
  char byte = 'x';
  report("tiocsti", syscall(SYS_ioctl, 0, (unsigned long)TIOCSTI, &byte));
  report("tiocsti-high", syscall(SYS_ioctl, 0, TIOCSTI | HIGH, &byte));
  report("tioclinux", syscall(SYS_ioctl, 0, (unsigned long)TIOCLINUX_, &byte));
  report("tioclinux-high", syscall(SYS_ioctl, 0, TIOCLINUX_ | HIGH, &byte));
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "acct") == 0)
    return (int)syscall(SYS_acct, NULL);
  report("getpid", syscall(SYS_getpid));
  try_apart("unshare-user", SYS_unshare, CLONE_NEWUSER);
  try_apart("unshare-fs", SYS_unshare, CLONE_FS);
  clone_user();
  report("clone3", syscall(SYS_clone3, NULL, 0));
  report("ptrace", syscall(SYS_ptrace, 0, 0, 0, 0));
  report("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
  report("add_key", syscall(SYS_add_key, "user", "trees", "x", 1, KEY_SPEC_PROCESS_KEYRING));
  report("bpf", syscall(SYS_bpf, 0, NULL, 0));
  report("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
  report("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL));
  report("io_uring_setup", syscall(SYS_io_uring_setup, 0, NULL));
  report("setns", syscall(SYS_setns, -1, 0));
  report("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, NULL, 0));
  report("userfaultfd", syscall(SYS_userfaultfd, 0));
  report("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0));
  report("swapon", syscall(SYS_swapon, NULL, 0));
  report("open_tree", syscall(SYS_open_tree, -1, "/", 0));
  report("move_mount", syscall(SYS_move_mount, -1, "", -1, "", 0));
  report("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
  report("mount_setattr", syscall(SYS_mount_setattr, -1, "", 0, NULL, 0));
  report("call-4000", syscall(4000));
  report("x32-getpid", syscall(SYS_getpid | 0x40000000));
  report("socket-vsock", syscall(SYS_socket, 40, 1, 0));
  report("socket-alg", syscall(SYS_socket, 38, 5, 0));
  report("socket-alg-high", syscall(SYS_socket, 38 | HIGH, 5, 0));
  report("socket-unix", syscall(SYS_socket, 1, 1, 0));
  report("personality-linux", syscall(SYS_personality, 0));
  report("personality-no-randomize", syscall(SYS_personality, ADDR_NO_RANDOMIZE));
  ioctls();
  return 0;
}
