import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { isErrno, TreesError } from '../trees/errors.js';
import { openSafeDirectory } from '../trees/run/safe-directory.js';
import { kernelFormat, type UpperFormat, upperEntries } from '../trees/run/upper-format.js';
import { sameContent } from './compare.js';
import { normaliseFile } from './normalise.js';
import type { Rules } from './rules.js';
import { copyImageXattrs, foreignOverlayXattr, sameImageXattrs } from './xattrs.js';

export interface LayerInput {
  /** Writable directory of an overlay that is no longer mounted. Its files are moved out. */
  readonly upper: string;
  /** How it says what was removed; default as the kernel's overlay does. */
  readonly format?: UpperFormat | undefined;
  /** What was below it. */
  readonly lower: string;
  /** Directory to make, on the same file system as `upper`. */
  readonly out: string;
  readonly rules: Rules;
  /** Seconds since the epoch, for normalising content. */
  readonly epoch: number;
  /** Is told about entries that cannot be part of an image (sockets, devices). */
  readonly warn: (message: string) => void;
}

export const WHITEOUT = '.wh.';
export const OPAQUE = '.wh..wh..opq';
/** Where `sameContent` and everything else read through node's UTF-8 names, others are unrepresentable. */
const UNREPRESENTABLE = '\u{FFFD}';

/**
 * Turns what an overlay's upper directory records into a layer in the form of OCI image layers: files that are new or
 * differ from those below, `.wh.NAME` for what was removed, `.wh..wh..opq` in directories that were replaced as a whole.
 * What is equal to what is below, owner, mode and attributes included, is not part of it. Directories on the way have
 * the merged owner and mode.
 *
 * @throws TreesError `BUILD_FAILED` naming the path for what a layer cannot express
 */
export function extractLayer(input: LayerInput): void {
  const root = lstatSync(input.upper);
  makeDirectory(input, '', root);
  extractDirectory({ ...input, format: input.format ?? kernelFormat('user.overlay.opaque') }, '', input.lower);
}

interface Extraction extends LayerInput {
  readonly format: UpperFormat;
}

/**
 * @param path of the directory inside the image, '' for the root
 * @param lower the directory below it on this machine, if it shows through
 */
function extractDirectory(input: Extraction, path: string, lower: string | undefined): void {
  for (const { name, removed } of entriesOf(input, path)) {
    const child = `${path}/${name}`;
    const verdict = input.rules.verdict(child);
    if (verdict === 'drop') continue;
    checkName(name, child);
    const below = lower === undefined ? undefined : `${lower}/${name}`;
    if (removed) {
      if (below !== undefined && tryLstat(below) !== undefined) writeMarker(input, path, `${WHITEOUT}${name}`);
      continue;
    }
    const stats = lstatSync(`${input.upper}${child}`);
    if (stats.isDirectory()) extractChildDirectory(input, child, { stats, below, prune: verdict === 'prune' });
    else if (verdict === 'keep') extractFile(input, child, stats, below);
  }
}

function entriesOf({ upper, format }: Extraction, path: string): { name: string; removed: boolean }[] {
  using directory = openSafeDirectory(`${upper}${path}`);
  return upperEntries(format, directory);
}

function isOpaque({ upper, format }: Extraction, path: string): boolean {
  using directory = openSafeDirectory(`${upper}${path}`);
  return format.isOpaque(directory);
}

function extractChildDirectory(
  input: Extraction,
  path: string,
  entry: { stats: Stats; below: string | undefined; prune: boolean },
): void {
  const { stats, below } = entry;
  const file = `${input.upper}${path}`;
  checkOverlay(file, path);
  const lower = below === undefined ? undefined : tryLstat(below);
  const merges = lower?.isDirectory() === true;
  const opaque = merges && isOpaque(input, path);
  const same = merges && !opaque && sameMetadata(stats, lower) && sameImageXattrs(file, below ?? '');
  if (!same && !(entry.prune && !opaque)) makeDirectory(input, path, stats);
  if (opaque) writeMarker(input, path, OPAQUE);
  extractDirectory(input, path, merges && !opaque ? below : undefined);
}

function extractFile(input: LayerInput, path: string, stats: Stats, below: string | undefined): void {
  const file = `${input.upper}${path}`;
  if (!stats.isFile() && !stats.isSymbolicLink()) {
    input.warn(`${path} is left out: an image holds no devices, pipes and sockets`);
    return;
  }
  checkOverlay(file, path);
  const lower = below === undefined ? undefined : tryLstat(below);
  if (stats.isFile()) {
    const regular = lower?.isFile() === true && below !== undefined ? { lower: below } : {};
    normaliseFile(path, file, { epoch: input.epoch, ...regular });
  }
  if (lower !== undefined && below !== undefined && sameFile(file, below)) return;
  ensureParents(input, path);
  renameSync(file, `${input.out}${path}`);
}

/** Whether two files are the same object of an image: type, owner, mode, attributes and content or target. */
function sameFile(a: string, b: string): boolean {
  const [left, right] = [lstatSync(a), lstatSync(b)];
  if (left.isSymbolicLink()) {
    return (
      right.isSymbolicLink() && left.uid === right.uid && left.gid === right.gid && readlinkSync(a) === readlinkSync(b)
    );
  }
  return (
    right.isFile() &&
    sameMetadata(left, right) &&
    left.size === right.size &&
    sameImageXattrs(a, b) &&
    sameContent(a, b)
  );
}

function sameMetadata(a: Stats, b: Stats): boolean {
  return a.uid === b.uid && a.gid === b.gid && a.mode === b.mode;
}

function writeMarker(input: LayerInput, directory: string, name: string): void {
  const path = `${directory}/${name}`;
  ensureParents(input, path);
  writeFileSync(`${input.out}${path}`, '', { mode: 0o644, flag: 'wx' });
}

/** Directories that lead to an entry are part of the layer, as they are in the merged tree. */
function ensureParents(input: LayerInput, path: string): void {
  const parent = path.slice(0, path.lastIndexOf('/'));
  if (tryLstat(`${input.out}${parent}`) !== undefined) return;
  makeDirectory(input, parent, lstatSync(`${input.upper}${parent}`));
}

function makeDirectory(input: LayerInput, path: string, stats: Stats): void {
  const directory = `${input.out}${path}`;
  if (path !== '') ensureParents(input, path);
  mkdirSync(directory);
  chownSync(directory, stats.uid, stats.gid);
  chmodSync(directory, stats.mode & 0o7777);
  copyImageXattrs(`${input.upper}${path}`, directory);
}

function checkName(name: string, path: string): void {
  if (name.startsWith(WHITEOUT)) throw unfit(path, `names that begin with ${WHITEOUT} mark removals in a layer`);
  if (name.includes(UNREPRESENTABLE)) throw unfit(path, 'its name is not UTF-8');
}

function checkOverlay(file: string, path: string): void {
  const foreign = foreignOverlayXattr(file);
  if (foreign !== undefined)
    throw unfit(path, `it has the attribute ${foreign} (mount with redirect_dir=off,metacopy=off)`);
}

function unfit(path: string, why: string): TreesError {
  return new TreesError('BUILD_FAILED', `${path} cannot be part of a layer: ${why}`, { details: { path } });
}

/** What is at a path, links not followed; undefined if nothing is. */
export function tryLstat(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
