import {
  checkBoolean,
  checkChecksum,
  checkNonEmpty,
  checkObjectType,
  checkOptionalChecksum,
  checkOptions,
  checkPath,
  checkRepoMode,
  checkSignal,
} from './arguments.js';
import { loadBinding } from './binding.js';
import { withSignal } from './cancel.js';
import * as deltas from './delta.js';
import { lockRepo, type RepoLock } from './lock.js';
import * as maintenance from './maintenance.js';
import type { MutableTree } from './mutable-tree.js';
import type { Native, NativeOpened } from './native.js';
import * as objects from './objects.js';
import { alone, createState, openState, shared, stateOf } from './repo-state.js';
import { beginTransaction, checkRef, type Transaction } from './transaction.js';
import * as trees from './tree-io.js';
import type * as t from './types.js';

const hidden = Symbol('constructed by Repo.open');

/**
 * An OSTree repository. Methods may be called concurrently; libostree's rules on what can run together are kept by
 * queueing. A Repo has one transaction at a time, and everything written through it meanwhile belongs to that
 * transaction: open the repository twice for independent writers. All methods reject with a TypeError for wrong
 * arguments and after `close`, and with an {@link OstreeError} when libostree fails.
 */
export class Repo implements Disposable {
  /** Not for callers: see {@link Repo.open} and {@link Repo.create}. */
  constructor(key: symbol, native: Native, opened: NativeOpened) {
    if (key !== hidden) throw new TypeError('Expected Repo.open() or Repo.create() to be used, got new Repo()');
    createState(this, native, opened);
  }

  /** Creates a repository, or opens the one that is there. @throws OstreeError `exists` when its mode differs. */
  static async create(path: string, options: { mode: t.RepoMode } & t.Cancellable): Promise<Repo> {
    const directory = checkPath(path, 'path');
    const { mode, signal } = checkOptions(options, 'options', ['mode', 'signal']);
    const checked = checkRepoMode(mode, 'options.mode');
    const native = loadBinding();
    const opened = await withSignal(native, checkSignal(signal, 'options.signal'), (token) =>
      native.createRepo(directory, checked, token),
    );
    return new Repo(hidden, native, opened);
  }

  static async open(path: string, options?: t.Cancellable): Promise<Repo> {
    const directory = checkPath(path, 'path');
    const { signal } = checkOptions(options, 'options', ['signal']);
    const native = loadBinding();
    const opened = await withSignal(native, checkSignal(signal, 'options.signal'), (token) =>
      native.openRepo(directory, token),
    );
    return new Repo(hidden, native, opened);
  }

  get path(): string {
    return stateOf(this).path;
  }

  get mode(): t.RepoMode {
    return stateOf(this).mode;
  }

  get closed(): boolean {
    return stateOf(this).closed;
  }

  /** Whether this process may write to the repository. */
  get writable(): boolean {
    const { native, handle } = openState(this);
    return native.isWritable(handle);
  }

  /**
   * Releases locks, aborts an open transaction and lets go of the files. Work that has started still finishes (and
   * keeps the files open until then); work that waits for its turn is refused.
   */
  close(): void {
    const state = stateOf(this);
    if (state.closed) return;
    for (const lock of state.locks) lock[Symbol.dispose]();
    state.closed = true;
    state.native.closeRepo(state.handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** A value of the repository's own configuration file. */
  async getConfig(section: string, key: string): Promise<string | undefined> {
    return maintenance.getConfig(openState(this), section, key);
  }

  /** Writes the configuration and acts by it at once. `undefined` removes the key. Not with a transaction or lock open. */
  async setConfig(section: string, key: string, value: string | undefined): Promise<void> {
    return maintenance.setConfig(openState(this), section, key, value);
  }

  /** Bytes that writing content must leave free; 0 for no limit. libostree's default is 3 % of the file system. */
  async minFreeSpaceBytes(): Promise<number> {
    const state = openState(this);
    return shared(state, undefined, (handle) => state.native.minFreeSpaceBytes(handle));
  }

  /** Sets `core.min-free-space-percent` or `core.min-free-space-size`; `undefined` goes back to the default. */
  async setMinFreeSpace(limit: t.MinFreeSpace | undefined): Promise<void> {
    return maintenance.setMinFreeSpace(openState(this), limit);
  }

  /** Turns syncing off or on for this object only; `core.fsync` in the configuration is the lasting switch. */
  async setFsync(enabled: boolean): Promise<void> {
    return maintenance.setFsync(openState(this), enabled);
  }

  /** Refs and what they point at; below `prefix` (a path, not a string prefix) with full names. */
  async listRefs(prefix?: string): Promise<ReadonlyMap<string, t.Checksum>> {
    const state = openState(this);
    const below = prefix === undefined ? undefined : checkNonEmpty(prefix, 'prefix');
    const flat = await shared(state, undefined, (handle) => state.native.listRefs(handle, below));
    const refs = new Map<string, t.Checksum>();
    for (let index = 0; index + 1 < flat.length; index += 2) refs.set(flat[index] ?? '', flat[index + 1] ?? '');
    return refs;
  }

  /** Resolves a ref, checksum, unique abbreviation, or one of them with `^` for the parent. @throws OstreeError */
  async resolveRev(rev: string): Promise<t.Checksum> {
    const state = openState(this);
    checkNonEmpty(rev, 'rev');
    const checksum = await shared(state, undefined, (handle) => state.native.resolveRev(handle, rev, false));
    return checkChecksum(checksum, 'resolved revision');
  }

  /** As {@link resolveRev}, `undefined` when there is no such ref. A checksum resolves to itself, present or not. */
  async tryResolveRev(rev: string): Promise<t.Checksum | undefined> {
    const state = openState(this);
    checkNonEmpty(rev, 'rev');
    return shared(state, undefined, (handle) => state.native.resolveRev(handle, rev, true));
  }

  /** Sets a ref now, outside any transaction; `undefined` deletes it (it need not exist). */
  async setRef(ref: string, checksum: t.Checksum | undefined): Promise<void> {
    const state = openState(this);
    checkRef(state, ref, 'ref');
    checkOptionalChecksum(checksum, 'checksum');
    await shared(state, undefined, (handle) => state.native.setRef(handle, ref, checksum));
  }

  /** Begins a transaction: `await using tx = await repo.beginTransaction()`. It aborts unless committed. */
  async beginTransaction(options?: t.BeginTransactionOptions): Promise<Transaction> {
    return beginTransaction(openState(this), options);
  }

  async hasObject(type: t.ObjectType, checksum: t.Checksum): Promise<boolean> {
    const state = openState(this);
    checkObjectType(type, 'type');
    checkChecksum(checksum, 'checksum');
    return shared(state, undefined, (handle) => state.native.hasObject(handle, type, checksum));
  }

  /** Bytes on disk. */
  async objectSize(type: t.ObjectType, checksum: t.Checksum): Promise<number> {
    const state = openState(this);
    checkObjectType(type, 'type');
    checkChecksum(checksum, 'checksum');
    return shared(state, undefined, (handle) => state.native.objectSize(handle, type, checksum));
  }

  /** Deletes an object, whatever refers to it: for repair. */
  async deleteObject(type: t.ObjectType, checksum: t.Checksum): Promise<void> {
    const state = openState(this);
    checkObjectType(type, 'type');
    checkChecksum(checksum, 'checksum');
    await alone(state, undefined, (handle) => state.native.deleteObject(handle, type, checksum));
  }

  /** Every object of this repository. */
  async listObjects(options?: t.Cancellable): Promise<t.ObjectName[]> {
    const state = openState(this);
    const signal = signalOf(options);
    return shared(state, signal, (handle, token) => state.native.listObjects(handle, token));
  }

  async readCommit(checksum: t.Checksum): Promise<t.Commit> {
    const state = openState(this);
    checkChecksum(checksum, 'checksum');
    return shared(state, undefined, (handle) => state.native.readCommit(handle, checksum));
  }

  /** The commit's serialized GVariant: what its checksum and signatures cover. */
  async readCommitBytes(checksum: t.Checksum): Promise<Uint8Array> {
    const state = openState(this);
    checkChecksum(checksum, 'checksum');
    return shared(state, undefined, (handle) => state.native.readCommitBytes(handle, checksum));
  }

  async readDirTree(checksum: t.Checksum): Promise<t.DirTree> {
    const state = openState(this);
    checkChecksum(checksum, 'checksum');
    return shared(state, undefined, (handle) => state.native.readDirTree(handle, checksum));
  }

  async readDirMeta(checksum: t.Checksum): Promise<t.DirMeta> {
    const state = openState(this);
    checkChecksum(checksum, 'checksum');
    return shared(state, undefined, (handle) => state.native.readDirMeta(handle, checksum));
  }

  async readFileInfo(checksum: t.Checksum): Promise<t.FileInfo> {
    const state = openState(this);
    checkChecksum(checksum, 'checksum');
    return shared(state, undefined, (handle) => state.native.readFileInfo(handle, checksum));
  }

  /**
   * Content of a regular file.
   *
   * @param options.maxSize bytes, default 64 MiB. @throws OstreeError `messageTooLarge` above that.
   */
  async readFile(checksum: t.Checksum, options?: { maxSize?: number } & t.Cancellable): Promise<Uint8Array> {
    return objects.readFile(openState(this), checksum, options);
  }

  /** Content of a regular file in chunks (default 256 KiB), however large; opened at the first read. */
  readFileStream(checksum: t.Checksum, options?: { chunkSize?: number } & t.Cancellable): AsyncIterable<Uint8Array> {
    return objects.readFileStream(openState(this), checksum, options);
  }

  /** Metadata beside the commit object (signatures); `undefined` when there is none. */
  async readDetachedMetadata(commit: t.Checksum): Promise<t.Metadata | undefined> {
    const state = openState(this);
    checkChecksum(commit, 'commit');
    return shared(state, undefined, (handle) => state.native.readDetachedMetadata(handle, commit));
  }

  /** Replaces a commit's detached metadata; `undefined` empties it. */
  async writeDetachedMetadata(commit: t.Checksum, metadata: t.Metadata | undefined): Promise<void> {
    return objects.writeDetachedMetadata(openState(this), commit, metadata);
  }

  /** Writes a directory listing. Entries may come in any order; names must be unique. */
  async writeDirTree(tree: t.DirTree): Promise<t.Checksum> {
    return objects.writeDirTree(openState(this), tree);
  }

  /**
   * Writes directory listings in their serialized form, `(a(say)a(sayay))`, all in one go.
   * @returns their checksums in the same order
   * @throws OstreeError if one is not in normal form or has a name that no file can have; those before it are written
   */
  async writeDirTrees(trees: readonly Uint8Array[]): Promise<t.Checksum[]> {
    return objects.writeDirTrees(openState(this), trees);
  }

  async writeDirMeta(meta: t.DirMeta): Promise<t.Checksum> {
    return objects.writeDirMeta(openState(this), meta);
  }

  /** Writes a file object from memory. */
  async writeFile(file: t.NewFile): Promise<t.Checksum> {
    return objects.writeFile(openState(this), file);
  }

  /** @throws OstreeError `notFound` when the tree or its metadata do not exist. Sets no ref. */
  async writeCommit(input: t.CommitInput): Promise<t.Checksum> {
    return objects.writeCommit(openState(this), input);
  }

  /** Commits a directory, in the open transaction or its own. */
  async commitDirectory(path: string, options: t.CommitDirectoryOptions): Promise<t.Checksum> {
    return trees.commitDirectory(openState(this), path, options);
  }

  /** Adds a directory's content to a mutable tree, merging with what is there. */
  async writeDirectory(
    path: string,
    tree: MutableTree,
    options?: t.CommitModifierOptions & t.Cancellable,
  ): Promise<void> {
    return trees.writeDirectory(openState(this), path, tree, options);
  }

  /** Writes the directories of a mutable tree. @throws OstreeError when a directory has no metadata. */
  async writeMutableTree(tree: MutableTree): Promise<{ rootTree: t.Checksum; rootMeta: t.Checksum }> {
    return trees.writeMutableTree(openState(this), tree);
  }

  /** Every path of a commit: depth first, the root first, names in byte order. */
  walk(rev: string, options?: t.Cancellable): AsyncIterable<t.WalkEntry> {
    return trees.walk(openState(this), rev, options);
  }

  /** What a commit has at a path; `undefined` for nothing. Symlinks are not followed. */
  async lookupPath(rev: string, path: string): Promise<t.WalkEntry | undefined> {
    return trees.lookupPath(openState(this), rev, path);
  }

  async commitSize(commit: t.Checksum, options?: t.Cancellable): Promise<t.CommitSize> {
    const state = openState(this);
    checkChecksum(commit, 'commit');
    return shared(state, signalOf(options), (handle, token) => state.native.commitSize(handle, commit, token));
  }

  /** Objects that a commit reaches, itself included; `maxDepth` parents too (default 0, -1 for all that are here). */
  async traverseCommit(commit: t.Checksum, options?: { maxDepth?: number } & t.Cancellable): Promise<t.ObjectName[]> {
    return trees.traverseCommit(openState(this), commit, options);
  }

  /** Writes a commit's files to `destination`, which must not exist unless `overwrite` says what to do then. */
  async checkout(rev: string, destination: string, options?: t.CheckoutOptions): Promise<void> {
    return trees.checkout(openState(this), rev, destination, options);
  }

  /** Paths that differ, as `ostree diff` finds them; from `undefined` everything is added. */
  async diff(from: t.Checksum | undefined, to: t.Checksum, options?: t.Cancellable): Promise<t.DiffResult> {
    return trees.diff(openState(this), from, to, options);
  }

  /** Deltas that lie in the repository. */
  async listDeltas(): Promise<readonly t.StaticDelta[]> {
    const state = openState(this);
    return shared(state, undefined, (handle) => state.native.listDeltas(handle));
  }

  /** Generates a static delta with libostree's own encoder. It reports no progress, and looks at `signal` late. */
  async generateDelta(options: t.GenerateDeltaOptions): Promise<void> {
    return deltas.generateDelta(openState(this), options);
  }

  /**
   * Applies a delta file or directory, in the open transaction or its own. Sets no ref.
   * libostree aborts the process on some malformed deltas: verify a signature over the bytes first.
   *
   * @throws OstreeError `notSupported` for a delta between commits and an `archive` repository.
   */
  async applyDelta(path: string, options?: t.ApplyDeltaOptions): Promise<void> {
    return deltas.applyDelta(openState(this), path, options);
  }

  /** See the function of the same name. */
  async deltaInfo(path: string): Promise<t.DeltaInfo> {
    openState(this);
    return deltas.deltaInfo(path);
  }

  /** Deletes what nothing reaches, under the exclusive lock. */
  async prune(options?: t.PruneOptions): Promise<t.PruneResult> {
    return maintenance.prune(openState(this), options);
  }

  /** Verifies one object; `undefined` when it is sound. */
  async fsckObject(type: t.ObjectType, checksum: t.Checksum): Promise<t.FsckProblem | undefined> {
    const state = openState(this);
    checkObjectType(type, 'type');
    checkChecksum(checksum, 'checksum');
    return shared(state, undefined, (handle) => state.native.fsckObject(handle, type, checksum));
  }

  /** Verifies everything that complete commits reach. Commits marked partial are checked, but may miss objects. */
  async fsck(options?: t.FsckOptions): Promise<t.FsckProblem[]> {
    return maintenance.fsck(openState(this), options);
  }

  /** Marks a commit as incomplete, or clears the mark. */
  async setCommitPartial(commit: t.Checksum, partial: boolean): Promise<void> {
    const state = openState(this);
    checkChecksum(commit, 'commit');
    checkBoolean(partial, 'partial');
    await shared(state, undefined, (handle) => state.native.setCommitPartial(handle, commit, partial));
  }

  async isCommitPartial(commit: t.Checksum): Promise<boolean> {
    const state = openState(this);
    checkChecksum(commit, 'commit');
    return shared(state, undefined, (handle) => state.native.isCommitPartial(handle, commit));
  }

  /**
   * Takes the repository's lock: `using lock = await repo.lock('exclusive')`. It belongs to this Repo: other Repos and
   * processes are kept out (transactions hold it shared, prune exclusively), other work through this one is not.
   */
  async lock(kind: t.LockKind, options?: t.LockOptions): Promise<RepoLock> {
    return lockRepo(openState(this), kind, options);
  }
}

function signalOf(options: t.Cancellable | undefined): AbortSignal | undefined {
  return checkSignal(checkOptions(options, 'options', ['signal']).signal, 'options.signal');
}
