import { lstatSync, readlinkSync } from 'node:fs';
import { basename, join, posix } from 'node:path';
import { isErrno } from '../errors.js';

/** Inits that are known to end in ways of their own. */
export type InitKind = 'systemd' | 'sysvinit' | 'busybox' | 'runit' | 'other';

export interface FoundInit {
  /** In the tree. */
  readonly program: string;
  readonly kind: InitKind;
}

const SYSTEMD = ['/lib/systemd/systemd', '/usr/lib/systemd/systemd'];
const INIT = ['/sbin/init', '/usr/sbin/init', '/bin/init', '/init'];
const MAX_LINKS = 40;

/** Looks for the init of a tree. What it says is for choosing how to stop it; nothing in the tree is opened. */
export function findInit(rootfs: string, mode: 'sbin-init' | 'systemd'): FoundInit | undefined {
  for (const program of mode === 'systemd' ? SYSTEMD : INIT) {
    const target = resolveInside(rootfs, program);
    if (target !== undefined) return { program, kind: kindOf(target) };
  }
  return undefined;
}

export function kindOf(program: string): InitKind {
  const name = basename(program);
  if (name === 'systemd') return 'systemd';
  if (name === 'busybox') return 'busybox';
  if (name.startsWith('runit')) return 'runit';
  // sysvinit's is called just that.
  return name === 'init' ? 'sysvinit' : 'other';
}

/** Follows symbolic links as the container will: absolute ones from its own root. */
function resolveInside(rootfs: string, path: string): string | undefined {
  let pending = path.split('/').filter(isName);
  let resolved: string[] = [];
  for (let links = 0; pending.length > 0; ) {
    const [name = '', ...rest] = pending;
    pending = rest;
    if (name === '..') {
      resolved = resolved.slice(0, -1);
      continue;
    }
    const place = join(rootfs, ...resolved, name);
    const link = readLink(place);
    if (link === undefined) return undefined;
    if (link === null) {
      resolved.push(name);
      continue;
    }
    if (++links > MAX_LINKS) return undefined;
    if (posix.isAbsolute(link)) resolved = [];
    pending = [...link.split('/').filter(isName), ...pending];
  }
  return `/${resolved.join('/')}`;
}

function isName(part: string): boolean {
  return part !== '' && part !== '.';
}

/** `null`: no link; `undefined`: nothing there. */
function readLink(path: string): string | null | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
