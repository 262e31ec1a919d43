import {
  checkChecksum,
  checkFilename,
  checkNonEmpty,
  checkOptionalBoolean,
  checkOptionalChecksum,
  checkOptions,
  checkTreePath,
  invalid,
} from './arguments.js';
import { loadBinding } from './binding.js';
import { Gate } from './gate.js';
import type { Native, TreeHandle } from './native.js';
import { openState, shared } from './repo-state.js';
import type { Checksum, MutableEntry } from './types.js';

interface TreeState {
  readonly native: Native;
  readonly handle: TreeHandle;
  /** libostree's mutable trees know no threads: one operation at a time. */
  readonly gate: Gate;
  closed: boolean;
}

const states = new WeakMap<object, TreeState>();
const hidden = Symbol('constructed by MutableTree.create');

/**
 * A directory tree being put together: it names objects and holds no content. Subtrees of a commit are loaded when
 * they are touched, so that changing one file of a big commit costs its path only. Paths are absolute (`/usr/bin/x`).
 */
export class MutableTree implements Disposable {
  /** Not for callers: see the static methods. */
  constructor(key: symbol, native: Native, handle: TreeHandle) {
    if (key !== hidden) throw new TypeError('Expected MutableTree.create() to be used, got new MutableTree()');
    states.set(this, { native, handle, gate: new Gate(), closed: false });
  }

  /** An empty tree. Its root needs metadata before it can be written: `ensureDirectory('/', meta)`. */
  static create(): MutableTree {
    const native = loadBinding();
    return new MutableTree(hidden, native, native.createTree());
  }

  /** The tree of a commit. @throws OstreeError when there is no such commit. */
  static async fromCommit(repo: object, rev: string): Promise<MutableTree> {
    const state = openState(repo, 'repo');
    const commit = checkNonEmpty(rev, 'rev');
    const handle = await shared(state, undefined, (open) => state.native.treeFromCommit(open, commit));
    return new MutableTree(hidden, state.native, handle);
  }

  /** The tree of a dirtree and a dirmeta object. */
  static async fromChecksums(repo: object, tree: Checksum, meta: Checksum): Promise<MutableTree> {
    const state = openState(repo, 'repo');
    checkChecksum(tree, 'tree');
    checkChecksum(meta, 'meta');
    const handle = await shared(state, undefined, (open) => state.native.treeFromChecksums(open, tree, meta));
    return new MutableTree(hidden, state.native, handle);
  }

  /**
   * Creates a directory if it is missing; its parent must exist.
   *
   * @param meta dirmeta to give it, created or not.
   * @throws OstreeError when the parent is missing or a file is in the way.
   */
  async ensureDirectory(path: string, meta?: Checksum): Promise<void> {
    const parts = components(path, 'path');
    const checked = checkOptionalChecksum(meta, 'meta');
    await withTree(this, 'this', ({ native, handle }) => native.treeEnsureDirectory(handle, parts, checked));
  }

  /** Puts a file object at a path; the directory must exist. */
  async setFile(path: string, checksum: Checksum): Promise<void> {
    const parts = entryComponents(path, 'path');
    checkChecksum(checksum, 'checksum');
    await withTree(this, 'this', ({ native, handle }) => native.treeSetFile(handle, parts, checksum));
  }

  /** Removes a file, or a directory with everything in it. @throws OstreeError when missing, unless `allowMissing`. */
  async remove(path: string, options?: { allowMissing?: boolean }): Promise<void> {
    const parts = entryComponents(path, 'path');
    const { allowMissing } = checkOptions(options, 'options', ['allowMissing']);
    const tolerant = checkOptionalBoolean(allowMissing, 'options.allowMissing');
    await withTree(this, 'this', ({ native, handle }) => native.treeRemove(handle, parts, tolerant));
  }

  /** What is at a path, `undefined` when nothing is. */
  async lookup(path: string): Promise<MutableEntry | undefined> {
    const parts = components(path, 'path');
    return withTree(this, 'this', ({ native, handle }) => native.treeLookup(handle, parts));
  }

  /** The entries of a directory, sorted by name. */
  async list(path: string): Promise<ReadonlyArray<{ readonly name: string } & MutableEntry>> {
    const parts = components(path, 'path');
    const entries = await withTree(this, 'this', ({ native, handle }) => native.treeList(handle, parts));
    return entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  }

  /** Lets go of the tree, and of the repository it loads from. */
  close(): void {
    const state = stateOf(this, 'this');
    if (state.closed) return;
    state.closed = true;
    state.native.closeTree(state.handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Runs `work` with the native tree while nothing else does. @throws TypeError for a foreign or closed tree. */
export function withTree<T>(tree: unknown, name: string, work: (state: TreeState) => Promise<T>): Promise<T> {
  const state = stateOf(tree, name);
  return state.gate.alone(() => {
    if (state.closed) throw new TypeError(`Expected ${name} to be an open MutableTree, got one that was closed`);
    return work(state);
  });
}

function stateOf(tree: unknown, name: string): TreeState {
  const state = typeof tree === 'object' && tree !== null ? states.get(tree) : undefined;
  if (state === undefined) throw invalid(name, 'a MutableTree', tree);
  return state;
}

function components(path: unknown, name: string): string[] {
  return checkTreePath(path, name)
    .split('/')
    .filter((part) => part !== '')
    .map((part) => checkFilename(part, name));
}

function entryComponents(path: unknown, name: string): string[] {
  const parts = components(path, name);
  if (parts.length === 0) throw invalid(name, 'a path below the root', path);
  return parts;
}
