import { accessSync, constants, existsSync, readFileSync, readlinkSync, statSync } from 'node:fs';

/**
 * What a decision can rest on besides the words of the line:
 * - `file`: the content of a file, told by everything that changes with it
 * - `there`: whether a path exists
 * - `link`: where a symbolic link leads
 * - `text`: the content of a file that has no status to tell it by (procfs, sysfs)
 * - `cgroup-mounts`: the lines of a mountinfo file that are about control groups
 * - `visible`, `writable`, `executable`: whether this process may
 */
export type InputKind = 'file' | 'there' | 'link' | 'text' | 'cgroup-mounts' | 'visible' | 'writable' | 'executable';

/** @returns text that differs whenever the input does; the error's code where there is none */
export function observe(kind: InputKind, path: string): string {
  switch (kind) {
    case 'file':
      return identity(path);
    case 'there':
      return existsSync(path) ? 'yes' : 'no';
    case 'link':
      return attempt(() => `to ${readlinkSync(path)}`);
    case 'text':
      return attempt(() => `=${readFileSync(path, 'utf8')}`);
    case 'cgroup-mounts':
      return attempt(() => `=${cgroupLines(readFileSync(path, 'utf8'))}`);
    case 'visible':
      return attempt(() => access(path, constants.F_OK));
    case 'writable':
      return attempt(() => access(path, constants.W_OK));
    case 'executable':
      return attempt(() => access(path, constants.X_OK));
  }
}

const SECRET = /TOKEN|SECRET|PASS|KEY|PROXY/i;

/** @returns what differs whenever the variable does, and gives no secret away; null: it is not set */
export function observeVariable(name: string, value: string | undefined): string | null {
  if (value === undefined) return null;
  return SECRET.test(name) ? `${value.length} ${digest(value)}` : value;
}

/**
 * 16 hexadecimal digits: FNV-1a with two beginnings. For telling apart what nobody chose to be alike; loading node:crypto
 * would cost more than all that is saved by keeping things.
 */
export function digest(text: string): string {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit, 0x01000193);
  }
  return [high, low].map((part) => (part >>> 0).toString(16).padStart(8, '0')).join('');
}

/** Lines of a mountinfo file about control groups: others come and go without a meaning for limits. */
export function cgroupLines(mountinfo: string): string {
  return mountinfo
    .split('\n')
    .filter((line) => line.includes(' - cgroup'))
    .join('\n');
}

const TIMES = 2;

/** Nobody can set the time of the last change of the inode, not even who can set that of the content. */
function identity(path: string): string {
  return attempt(() => {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (found === undefined) return 'ENOENT';
    const { dev, ino, mode, uid, gid, size, mtimeNs, ctimeNs } = found;
    return [dev, ino, mode, uid, gid, size, mtimeNs, ctimeNs].join(' ');
  });
}

const NANOSECONDS = 1_000_000_000n;
/** Kernels tick at least every 10 ms, and give two changes in one tick the same time. */
const TICK = NANOSECONDS / 50n;
/** Of file systems that keep seconds only. */
const COARSE = 2n * NANOSECONDS;

/**
 * Whether a later change of the file would show in its identity. One that was changed a moment ago can be changed again
 * without getting another time.
 * @param now milliseconds since the epoch
 */
export function isSettled(identityOfFile: string, now: number): boolean {
  const times = identityOfFile.split(' ').slice(-TIMES);
  return (
    times.length < TIMES ||
    times.map(BigInt).every((time) => {
      const age = BigInt(now) * 1_000_000n - time;
      return age > (time % NANOSECONDS === 0n ? COARSE : TICK);
    })
  );
}

function access(path: string, mode: number): string {
  accessSync(path, mode);
  return 'yes';
}

function attempt(look: () => string): string {
  try {
    return look();
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
    throw error;
  }
}
