import { chmodSync, lchownSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { OPAQUE, tryLstat, WHITEOUT } from './layer.js';
import { copyImageXattrs } from './xattrs.js';

/**
 * Puts a layer on top of another one, so that both become one over the same base: what the upper one removes goes, and stays
 * marked as removed where the base has it. The upper layer's files are moved.
 *
 * @param upper directory in the form of `extractLayer`
 * @param layer directory of the same form, which is changed
 * @param base the tree below both
 */
export function mergeLayer(upper: string, layer: string, base: string, path = ''): void {
  const names = readdirSync(`${upper}${path}`);
  if (names.includes(OPAQUE)) {
    for (const name of readdirSync(`${layer}${path}`)) remove(`${layer}${path}/${name}`);
    mark(`${layer}${path}/${OPAQUE}`);
  }
  for (const name of names.filter((one) => one !== OPAQUE)) {
    if (name.startsWith(WHITEOUT)) whiteOut(name.slice(WHITEOUT.length), layer, base, path);
    else mergeEntry(name, { upper, layer, base, path });
  }
}

function whiteOut(name: string, layer: string, base: string, path: string): void {
  remove(`${layer}${path}/${name}`);
  const hidden = tryLstat(`${layer}${path}/${OPAQUE}`) !== undefined;
  if (!hidden && tryLstat(`${base}${path}/${name}`) !== undefined) mark(`${layer}${path}/${WHITEOUT}${name}`);
}

interface Merge {
  readonly upper: string;
  readonly layer: string;
  readonly base: string;
  readonly path: string;
}

function mergeEntry(name: string, { upper, layer, base, path }: Merge): void {
  const child = `${path}/${name}`;
  const source = `${upper}${child}`;
  const target = `${layer}${child}`;
  const removed = `${layer}${path}/${WHITEOUT}${name}`;
  const wasRemoved = tryLstat(removed) !== undefined;
  if (wasRemoved) remove(removed);
  const stats = lstatSync(source);
  const present = tryLstat(target);
  if (!stats.isDirectory()) {
    if (present !== undefined) remove(target);
    renameSync(source, target);
    return;
  }
  if (present !== undefined && !present.isDirectory()) remove(target);
  mkdirSync(target, { recursive: true });
  lchownSync(target, stats.uid, stats.gid);
  chmodSync(target, stats.mode & 0o7777);
  copyImageXattrs(source, target);
  // The base's directory of that name had been removed: what was in it stays so.
  const replaces = wasRemoved || (present !== undefined && !present.isDirectory());
  if (replaces && tryLstat(`${base}${child}`)?.isDirectory() === true) mark(`${target}/${OPAQUE}`);
  mergeLayer(upper, layer, base, child);
}

function mark(path: string): void {
  writeFileSync(path, '', { mode: 0o644 });
}

function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
