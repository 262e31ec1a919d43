import type { Stats } from 'node:fs';
import { isErrno } from '../errors.js';
import { openSafeDirectory, type SafeDirectory } from './safe-directory.js';
import { type UpperFormat, upperEntries, upperFormat } from './upper-format.js';

/** What an instance changed of its tree, as podman says it: `A`dded, `C`hanged, `D`eleted. */
export interface UpperChange {
  readonly change: 'A' | 'C' | 'D';
  /** In the container; directories end with a slash. */
  readonly path: string;
  /** Bytes of a regular file. */
  readonly size?: number | undefined;
}

/** How deep a tree may be; link trees are checked for the same when they are made. */
const MAX_DEPTH = 2048;

/**
 * Compares the writable directory of an overlay with the tree below it, by what overlayfs or fuse-overlayfs records there.
 * A directory is listed where it was added, or on the way to a change, as podman does. The instance may run meanwhile.
 *
 * @param upper undefined if there is none: then nothing changed
 */
export function diffUpper(upper: string, lower: string): UpperChange[] {
  const changes: UpperChange[] = [];
  using above = openIfThere(upper);
  if (above === undefined) return changes;
  using below = openSafeDirectory(lower);
  compare({ above, below, format: upperFormat(upper), path: '', depth: 0 }, changes);
  return changes;
}

/** Empty files that the launcher makes where the tree has none, to mount the container's own on. */
const MOUNT_POINTS: ReadonlySet<string> = new Set(['/etc/hostname', '/etc/hosts', '/etc/resolv.conf']);

interface Pair {
  readonly above: SafeDirectory;
  /** Undefined: nothing shows through. */
  readonly below: SafeDirectory | undefined;
  readonly format: UpperFormat;
  readonly path: string;
  readonly depth: number;
}

/** Appends what differs. */
function compare({ above, below, format, path, depth }: Pair, changes: UpperChange[]): void {
  if (depth > MAX_DEPTH) throw new RangeError(`Expected directories at most ${MAX_DEPTH} deep, got more at ${path}`);
  const entries = upperEntries(format, above);
  if (depth > 0 && format.isOpaque(above)) {
    const names = new Set(entries.map(({ name }) => name));
    for (const name of below?.names() ?? []) {
      if (!names.has(name)) changes.push({ change: 'D', path: `${path}/${name}` });
    }
  }
  for (const { name, removed } of entries) {
    const old = below?.look(name);
    const child = `${path}/${name}`;
    if (removed) {
      if (old !== undefined) changes.push({ change: 'D', path: child });
      continue;
    }
    const stats = above.look(name);
    if (stats === undefined) continue;
    if (stats.isDirectory()) {
      compareDirectories({ above, below, format, path: child, depth, name, old }, changes);
    } else if (old !== undefined || stats.size > 0 || !MOUNT_POINTS.has(child)) {
      changes.push({
        change: old === undefined ? 'A' : 'C',
        path: child,
        ...(stats.isFile() ? { size: stats.size } : {}),
      });
    }
  }
}

function compareDirectories(
  { above, below, format, path, depth, name, old }: Pair & { readonly name: string; readonly old: Stats | undefined },
  changes: UpperChange[],
): void {
  using inner = above.enter(name);
  if (inner === undefined) return;
  using outer = old?.isDirectory() === true ? below?.enter(name) : undefined;
  const at = changes.length;
  compare({ above: inner, below: outer, format, path, depth: depth + 1 }, changes);
  const same = outer !== undefined && isSame(inner.own(), outer.own());
  if (!same || changes.length > at) {
    changes.splice(at, 0, { change: old === undefined ? 'A' : 'C', path: `${path}/` });
  }
}

/** Copied up for nothing: to make a mount point in it. */
function isSame(a: Stats, b: Stats): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;
}

function openIfThere(path: string): SafeDirectory | undefined {
  try {
    return openSafeDirectory(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
