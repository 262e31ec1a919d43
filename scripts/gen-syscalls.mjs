// Writes the table of system calls from the kernel headers of this machine (packages linux-libc-dev, gcc), completed by
// what Linux has had since: system calls from 424 on have the same number everywhere.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const newer =
  '451 cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr ' +
  'lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr ' +
  'file_getattr file_setattr';
const newerOnX86 = '335 uretprobe uprobe';
/** Names in profiles that neither of the headers has: of other machines, or of kernels of old. */
const foreign =
  'arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush chown32 epoll_ctl_old epoll_wait_old get_tls getsid ' +
  'lookup_dcookie multiplexer pciconfig_iobase pciconfig_read pciconfig_write recv riscv_flush_icache riscv_hwprobe ' +
  'rtas s390_guarded_storage s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr s390_sthyi send set_tls ' +
  'spu_create spu_run subpage_prot swapcontext switch_endian sync_file_range2 sys_debug_setcontext sysmips umount usr26 ' +
  'usr32 utimesat utrap_install';

/** Number by name, as the preprocessor sees it with these macros. */
function numbers(header, ...macros) {
  const options = [
    '-E',
    '-dM',
    '-undef',
    ...macros.map((macro) => `-D${macro}`),
    '-include',
    header,
    '-x',
    'c',
    '/dev/null',
  ];
  const text = execFileSync('gcc', options, { encoding: 'utf8' }).replaceAll(/\(__X32_SYSCALL_BIT \+ (\d+)\)/g, '$1');
  const values = new Map([...text.matchAll(/^#define (__NR\w+) (\S+)$/gm)].map(([, name, value]) => [name, value]));
  const resolve = (value) => (values.has(value) ? resolve(values.get(value)) : Number(value));
  const found = new Map();
  for (const [macro, value] of values) {
    const name = /^__NR_(?!syscalls$|arch_specific_syscall$)(\w+)$/.exec(macro)?.[1];
    if (name !== undefined && Number.isInteger(resolve(value))) found.set(name, resolve(value));
  }
  return found;
}

/** `0 read write 5 fstat`: names in order, a number before one that does not follow the last. */
function parse(text) {
  const found = new Map();
  let next = 0;
  for (const word of text.split(' ')) {
    if (/^\d+$/.test(word)) next = Number(word);
    else found.set(word, next++);
  }
  return found;
}

function format(table) {
  const words = [];
  let next = -1;
  for (const [name, number] of [...table].sort(([, a], [, b]) => a - b)) {
    if (number !== next) words.push(String(number));
    words.push(name);
    next = number + 1;
  }
  return wrap(words);
}

function wrap(words) {
  const lines = [''];
  for (const word of words) {
    if (lines.at(-1).length + word.length > 110) lines.push('');
    lines.push(`${lines.pop()}${word} `);
  }
  return lines
    .map((line) => `  '${line}'`)
    .join(' +\n')
    .replace(/ '$/, "'");
}

/** The width follows from the machine that the headers take this one for. */
const generic = (bits, ...macros) => numbers('asm-generic/unistd.h', ...(bits === 64 ? ['__x86_64__'] : []), ...macros);
const x86 = new Map([...numbers('asm/unistd_64.h'), ...parse(newerOnX86), ...parse(newer)]);
const arm = new Map([
  ...generic(
    64,
    '__ARCH_WANT_RENAMEAT',
    '__ARCH_WANT_NEW_STAT',
    '__ARCH_WANT_SET_GET_RLIMIT',
    '__ARCH_WANT_SYS_CLONE3',
    '__ARCH_WANT_MEMFD_SECRET',
  ),
  ...parse(newer),
]);
const small = new Map([...numbers('asm/unistd_32.h'), ...parse(newer)]);
/** Those of the x32 interface that have other numbers than on x86-64; the bit that all have is left out. */
const x32 = new Map([...numbers('asm/unistd_x32.h')].filter(([name, number]) => x86.get(name) !== number));
const others = new Set([
  ...generic(32, '__ARCH_WANT_STAT64', '__ARCH_WANT_TIME32_SYSCALLS').keys(),
  ...foreign.split(' '),
]);
for (const name of [...x86.keys(), ...arm.keys(), ...small.keys()]) others.delete(name);

const file = `/** System calls of Linux by number. Written by scripts/gen-syscalls.mjs from the kernel's headers; do not edit. */

/** Names in the order of their numbers; a number stands before a name that does not follow the last. */
export const x86Calls =
${format(x86)};

/** The same for arm64. */
export const armCalls =
${format(arm)};

/** The same for 32-bit programs on x86-64. */
export const i386Calls =
${format(small)};

/** The same for x32 programs: only those that do not have the number of x86-64; without the bit that all have. */
export const x32Calls =
${format(x32)};

/** Names that other machines or former kernels have: profiles name them, and here they mean nothing. */
export const foreignCalls =
${wrap([...others].sort((a, b) => (a < b ? -1 : 1)))};
`;
writeFileSync(fileURLToPath(new URL('../trees/run/seccomp/syscall-numbers.ts', import.meta.url)), file);
