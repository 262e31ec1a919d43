/** Directories in and out of the repository: committing, checking out, walking, comparing. */
import {
  checkChecksum,
  checkInteger,
  checkNonEmpty,
  checkOneOf,
  checkOptionalBoolean,
  checkOptionalChecksum,
  checkOptions,
  checkPath,
  checkSignal,
  checkTreePath,
} from './arguments.js';
import { withSignal } from './cancel.js';
import { withCache } from './dev-ino-cache.js';
import { modifierKeys, toNativeModifier } from './modifier.js';
import { type MutableTree, withTree } from './mutable-tree.js';
import type { CacheHandle, NativeCheckout } from './native.js';
import { toNativeCommit } from './objects.js';
import { checkTimeout, type RepoState, shared } from './repo-state.js';
import { checkRef, joinTransaction } from './transaction.js';
import type {
  Cancellable,
  CheckoutOptions,
  Checksum,
  CommitDirectoryOptions,
  CommitModifierOptions,
  DiffResult,
  ObjectName,
  WalkEntry,
} from './types.js';

const OVERWRITE = ['none', 'union-files', 'add-files', 'union-identical'] as const;
const CHECKOUT_KEYS = [
  'signal',
  'mode',
  'overwrite',
  'requireHardlinks',
  'forceCopy',
  'forceCopyZeroSized',
  'bareuserOnlyDirs',
  'processWhiteouts',
  'processPassthroughWhiteouts',
  'subpath',
  'enableFsync',
  'noCopyFallback',
  'devInoCache',
];
/** Entries fetched per crossing into native code. */
const WALK_BATCH = 1024;

export async function commitDirectory(
  repo: RepoState,
  path: string,
  options: CommitDirectoryOptions,
): Promise<Checksum> {
  const source = checkPath(path, 'path');
  const { signal, ref, devInoCache, ...rest } = checkOptions(options, 'options', [
    ...modifierKeys,
    'signal',
    'parent',
    'subject',
    'body',
    'timestamp',
    'metadata',
    'ref',
  ]);
  const checked = checkSignal(signal, 'options.signal');
  const branch = ref === undefined ? undefined : checkRef(repo, ref, 'options.ref');
  const commit = toNativeCommit(rest, 'options');
  // Once for its complaints, before anything waits.
  toNativeModifier(repo.native, rest, undefined);
  return withCache(devInoCache, 'options.devInoCache', (cache) => {
    const modifier = toNativeModifier(repo.native, rest, cache);
    return joinTransaction(repo, checked, (own, handle, token) =>
      repo.native.commitDirectory(handle, source, modifier, commit, branch, own, checkTimeout(undefined, ''), token),
    );
  });
}

export async function writeDirectory(
  repo: RepoState,
  path: string,
  tree: MutableTree,
  options?: CommitModifierOptions & Cancellable,
): Promise<void> {
  const source = checkPath(path, 'path');
  const { signal, devInoCache, ...rest } = checkOptions(options, 'options', [...modifierKeys, 'signal']);
  const checked = checkSignal(signal, 'options.signal');
  toNativeModifier(repo.native, rest, undefined);
  await withCache(devInoCache, 'options.devInoCache', (cache) => {
    const modifier = toNativeModifier(repo.native, rest, cache);
    return withTree(tree, 'tree', (state) =>
      shared(repo, checked, (handle, token) =>
        repo.native.writeDirectory(handle, source, state.handle, modifier, token),
      ),
    );
  });
}

export async function writeMutableTree(
  repo: RepoState,
  tree: MutableTree,
): Promise<{ rootTree: Checksum; rootMeta: Checksum }> {
  const [rootTree, rootMeta] = await withTree(tree, 'tree', (state) =>
    shared(repo, undefined, (handle, token) => repo.native.writeTree(handle, state.handle, token)),
  );
  return { rootTree, rootMeta };
}

export async function checkout(
  repo: RepoState,
  rev: string,
  destination: string,
  options?: CheckoutOptions,
): Promise<void> {
  checkNonEmpty(rev, 'rev');
  const target = checkPath(destination, 'destination');
  const { signal, devInoCache, ...rest } = checkOptions(options, 'options', CHECKOUT_KEYS);
  const checked = checkSignal(signal, 'options.signal');
  toNativeCheckout(rest, undefined);
  await withCache(devInoCache, 'options.devInoCache', (cache) => {
    const native = toNativeCheckout(rest, cache);
    return shared(repo, checked, (handle, token) => repo.native.checkout(handle, rev, target, native, token));
  });
}

function toNativeCheckout(options: CheckoutOptions, devInoCache: CacheHandle | undefined): NativeCheckout {
  const overwrite = checkOneOf(options.overwrite ?? 'none', 'options.overwrite', OVERWRITE);
  const forceCopy = checkOptionalBoolean(options.forceCopy, 'options.forceCopy');
  const noCopyFallback =
    checkOptionalBoolean(options.requireHardlinks, 'options.requireHardlinks') ||
    checkOptionalBoolean(options.noCopyFallback, 'options.noCopyFallback');
  const processWhiteouts = checkOptionalBoolean(options.processWhiteouts, 'options.processWhiteouts');
  if (forceCopy && noCopyFallback) {
    throw new TypeError('Expected options.forceCopy to be absent with options.requireHardlinks, got both');
  }
  if (overwrite === 'union-identical' && !noCopyFallback) {
    throw new TypeError('Expected options.requireHardlinks to be true with overwrite "union-identical", got false');
  }
  return {
    userMode: checkOneOf(options.mode ?? 'none', 'options.mode', ['none', 'user']) === 'user',
    overwrite: OVERWRITE.indexOf(overwrite),
    noCopyFallback,
    forceCopy,
    forceCopyZeroSized: checkOptionalBoolean(options.forceCopyZeroSized, 'options.forceCopyZeroSized'),
    bareuserOnlyDirs: checkOptionalBoolean(options.bareuserOnlyDirs, 'options.bareuserOnlyDirs'),
    processWhiteouts,
    processPassthroughWhiteouts: checkOptionalBoolean(
      options.processPassthroughWhiteouts,
      'options.processPassthroughWhiteouts',
    ),
    subpath: checkTreePath(options.subpath ?? '/', 'options.subpath'),
    enableFsync: checkOptionalBoolean(options.enableFsync, 'options.enableFsync'),
    devInoCache,
  };
}

/** Checks at the call, reads in batches. */
export function walk(repo: RepoState, rev: string, options?: Cancellable): AsyncIterable<WalkEntry> {
  checkNonEmpty(rev, 'rev');
  const { signal } = checkOptions(options, 'options', ['signal']);
  return entries(repo, rev, checkSignal(signal, 'options.signal'));
}

async function* entries(
  repo: RepoState,
  rev: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<WalkEntry, void, undefined> {
  const { native } = repo;
  const position = await shared(repo, signal, (handle) => native.startWalk(handle, rev));
  for (;;) {
    const batch = await withSignal(native, signal, (token) =>
      shared(repo, undefined, () => native.continueWalk(position, WALK_BATCH, token)),
    );
    if (batch.length === 0) return;
    yield* batch;
  }
}

/** Follows a path from the root of a commit; symlinks are not followed. */
export async function lookupPath(repo: RepoState, rev: string, path: string): Promise<WalkEntry | undefined> {
  checkNonEmpty(rev, 'rev');
  const target = checkTreePath(path, 'path');
  const { native } = repo;
  return shared(repo, undefined, async (handle) => {
    const checksum = await native.resolveRev(handle, rev, false);
    if (checksum === undefined) return undefined;
    const commit = await native.readCommit(handle, checksum);
    let entry: WalkEntry = { path: '/', kind: 'directory', checksum: commit.rootTree, meta: commit.rootMeta };
    for (const name of target.split('/').filter((part) => part !== '')) {
      if (entry.kind !== 'directory') return undefined;
      const tree = await native.readDirTree(handle, entry.checksum);
      const below: string = entry.path === '/' ? `/${name}` : `${entry.path}/${name}`;
      const dir = tree.dirs.find((candidate) => candidate.name === name);
      const file = tree.files.find((candidate) => candidate.name === name);
      if (dir !== undefined) entry = { path: below, kind: 'directory', checksum: dir.tree, meta: dir.meta };
      else if (file !== undefined) entry = { path: below, kind: 'file', checksum: file.checksum, meta: undefined };
      else return undefined;
    }
    return entry;
  });
}

export async function traverseCommit(
  repo: RepoState,
  commit: Checksum,
  options?: { maxDepth?: number } & Cancellable,
): Promise<ObjectName[]> {
  checkChecksum(commit, 'commit');
  const { maxDepth, signal } = checkOptions(options, 'options', ['maxDepth', 'signal']);
  const depth = checkInteger(maxDepth ?? 0, 'options.maxDepth', -1, 0x7fff_ffff);
  return shared(repo, checkSignal(signal, 'options.signal'), (handle, token) =>
    repo.native.traverseCommit(handle, commit, depth, token),
  );
}

export async function diff(
  repo: RepoState,
  from: Checksum | undefined,
  to: Checksum,
  options?: Cancellable,
): Promise<DiffResult> {
  const before = checkOptionalChecksum(from, 'from');
  checkChecksum(to, 'to');
  const { signal } = checkOptions(options, 'options', ['signal']);
  const [added, removed, modified] = await shared(repo, checkSignal(signal, 'options.signal'), (handle, token) =>
    repo.native.diff(handle, before, to, token),
  );
  return { added: added.sort(), removed: removed.sort(), modified: modified.sort() };
}
