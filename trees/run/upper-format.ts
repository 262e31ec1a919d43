import { type Stats, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { setXattr } from '../system/index.js';
import type { SafeDirectory } from './safe-directory.js';

/** Who shows a tree with what was written over it. */
export type OverlayKind = 'kernel' | 'fuse-overlayfs';

/** How the writable directory of an overlay says what was removed. */
export interface UpperFormat {
  readonly kind: OverlayKind;
  /** Names that say something about others, and that nothing in the tree can have. */
  isReserved(this: void, name: string): boolean;
  /** The entries by which something of this name was removed; none if it was not. */
  whiteouts(this: void, directory: SafeDirectory, name: string): string[];
  /** Whether it hides everything that is below it. */
  isOpaque(this: void, directory: SafeDirectory): boolean;
  /** Makes it do so. */
  makeOpaque(this: void, path: string): void;
}

/** Beside the upper directory; not empty once fuse-overlayfs has written to that (`launcher/fuse-tree.c`). */
const MARK = '.fuse-overlayfs';
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

const isDevice = (stats: Stats | undefined): boolean => stats?.isCharacterDevice() === true && stats.rdev === 0;
const isMarked = (directory: SafeDirectory, attributes: readonly string[]): boolean =>
  attributes.some((name) => directory.attribute(name) === 'y');

const KERNEL_OPAQUE = ['trusted.overlay.opaque', 'user.overlay.opaque'];

/**
 * overlayfs: character devices 0:0, and an attribute (overlayfs.rst, "whiteouts and opaque directories").
 * @param attribute the one that is written: `trusted.overlay.opaque`, or `user.` in a user namespace
 */
export function kernelFormat(attribute: string): UpperFormat {
  return {
    kind: 'kernel',
    isReserved: () => false,
    whiteouts: (directory, name) => (isDevice(directory.look(name)) ? [name] : []),
    isOpaque: (directory) => isMarked(directory, KERNEL_OPAQUE),
    makeOpaque: (path) => setXattr(path, attribute, Buffer.from('y')),
  };
}

/** fuse-overlayfs: the same, its own attribute, and files `.wh.NAME` and `.wh..wh..opq` for where these cannot be. */
export const fuseOverlayfsFormat: UpperFormat = {
  kind: 'fuse-overlayfs',
  isReserved: (name) => name.startsWith(WHITEOUT),
  whiteouts: (directory, name) => [
    ...(isDevice(directory.look(name)) ? [name] : []),
    ...(directory.look(`${WHITEOUT}${name}`) === undefined ? [] : [`${WHITEOUT}${name}`]),
  ],
  isOpaque: (directory) =>
    isMarked(directory, [...KERNEL_OPAQUE, 'user.fuseoverlayfs.opaque']) || directory.look(OPAQUE) !== undefined,
  makeOpaque: (path) => writeFileSync(join(path, OPAQUE), '', { mode: 0o700 }),
};

/** Who has written to an upper directory, and is the only one to show it again. */
export function upperKind(upper: string): OverlayKind {
  try {
    return statSync(join(upper, '..', MARK)).size > 0 ? 'fuse-overlayfs' : 'kernel';
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return 'kernel';
    throw error;
  }
}

/** @param attribute see `kernelFormat` */
export function upperFormat(upper: string, attribute = 'user.overlay.opaque'): UpperFormat {
  return upperKind(upper) === 'kernel' ? kernelFormat(attribute) : fuseOverlayfsFormat;
}

/** What a directory of the upper says about its entries, by their names, sorted: each is there, or was removed. */
export function upperEntries(format: UpperFormat, directory: SafeDirectory): { name: string; removed: boolean }[] {
  const entries = new Map<string, boolean>();
  for (const name of directory.names()) {
    if (format.isReserved(name)) entries.set(name.slice(WHITEOUT.length), true);
    else if (!entries.has(name)) entries.set(name, format.whiteouts(directory, name).length > 0);
  }
  return [...entries]
    .filter(([name]) => name !== '' && !format.isReserved(name))
    .map(([name, removed]) => ({ name, removed }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
