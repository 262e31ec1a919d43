/**
 * Exact type of the addon's exports. Everything here expects checked arguments; only the modules of this directory call
 * it. Handles are opaque objects with a type tag, a token stands for a GCancellable.
 */
import type { OstreeError } from './errors.js';
import type {
  Commit,
  DeltaInfo,
  DirMeta,
  DirTree,
  EntryInfo,
  FileInfo,
  FsckProblem,
  FsckProgress,
  Metadata,
  MutableEntry,
  ObjectName,
  ObjectType,
  PruneResult,
  RepoMode,
  StaticDelta,
  TransactionStats,
  WalkEntry,
} from './types.js';
import type { NativeVariant } from './variant.js';

declare const brand: unique symbol;
interface Opaque<Name extends string> {
  readonly [brand]: Name;
}
export type RepoHandle = Opaque<'repo'>;
export type TreeHandle = Opaque<'mutable tree'>;
export type CacheHandle = Opaque<'dev-ino cache'>;
export type StreamHandle = Opaque<'stream'>;
export type WalkHandle = Opaque<'walk'>;
export type Token = Opaque<'cancellable'>;

export type NativeMetadata = ReadonlyArray<readonly [string, NativeVariant]>;
/** Names and values in turn, names with their terminating NUL, sorted. */
export type NativeXattrs = readonly Uint8Array[];
type Cancel = Token | undefined;

export interface NativeOpened {
  readonly handle: RepoHandle;
  readonly path: string;
  readonly mode: RepoMode;
}

export interface NativeModifier {
  readonly excludePaths: readonly string[];
  /** Pattern and flags in turn. */
  readonly excludePatterns: readonly string[];
  /** -1 keeps it. */
  readonly uid: number;
  readonly gid: number;
  readonly modeMask: number;
  readonly modeSet: number;
  /** Path, mode, uid, gid in turn; -1 keeps. */
  readonly overrides: ReadonlyArray<string | number>;
  /** Returns [keep, mode, uid, gid]; -1 keeps. */
  readonly filter: ((path: string, info: EntryInfo) => readonly number[]) | undefined;
  readonly xattrs: ((path: string, info: EntryInfo) => NativeXattrs) | undefined;
  readonly skipXattrs: boolean;
  readonly canonicalPermissions: boolean;
  readonly devInoCache: CacheHandle | undefined;
  readonly devInoCanonical: boolean;
  readonly consume: boolean;
  readonly generateSizes: boolean;
}

export interface NativeCommit {
  readonly parent: string | undefined;
  readonly subject: string;
  readonly body: string;
  readonly timestamp: number;
  readonly metadata: NativeMetadata;
}

export interface NativeCheckout {
  readonly userMode: boolean;
  readonly overwrite: number;
  readonly noCopyFallback: boolean;
  readonly forceCopy: boolean;
  readonly forceCopyZeroSized: boolean;
  readonly bareuserOnlyDirs: boolean;
  readonly processWhiteouts: boolean;
  readonly processPassthroughWhiteouts: boolean;
  readonly subpath: string;
  readonly enableFsync: boolean;
  readonly devInoCache: CacheHandle | undefined;
}

export interface NativeGenerate {
  readonly from: string | undefined;
  readonly to: string;
  readonly inlineParts: boolean;
  /** -1 leaves libostree's default. */
  readonly minFallbackSize: number;
  readonly maxBsdiffSize: number;
  readonly maxChunkSize: number;
  readonly disableBsdiff: boolean;
  readonly metadata: NativeMetadata;
  readonly filename: string | undefined;
}

export interface Native {
  initialize(errorClass: new (message: string, domain: string, code: number) => OstreeError): void;
  createCancellable(): Token;
  cancel(token: Token): void;
  /** libostree's complaint about a ref, or undefined when it is well-formed. */
  checkRef(ref: string): string | undefined;
  /** GRegex's complaint about a pattern. */
  checkPattern(pattern: string, flags: string): string | undefined;

  createRepo(path: string, mode: RepoMode, token: Cancel): Promise<NativeOpened>;
  openRepo(path: string, token: Cancel): Promise<NativeOpened>;
  closeRepo(repo: RepoHandle): void;
  isWritable(repo: RepoHandle): boolean;
  setDisableFsync(repo: RepoHandle, disable: boolean): void;
  getConfig(repo: RepoHandle, section: string, key: string): Promise<string | undefined>;
  setConfig(repo: RepoHandle, section: string, key: string, value: string | undefined): Promise<void>;
  reloadConfig(repo: RepoHandle): Promise<void>;
  minFreeSpaceBytes(repo: RepoHandle): Promise<number>;

  /** Ref and checksum in turn. */
  listRefs(repo: RepoHandle, prefix: string | undefined): Promise<string[]>;
  resolveRev(repo: RepoHandle, rev: string, allowMissing: boolean): Promise<string | undefined>;
  setRef(repo: RepoHandle, ref: string, checksum: string | undefined): Promise<void>;

  /** Resolves to whether objects of an interrupted transaction were picked up. Seconds, -1 for ever. */
  prepareTransaction(repo: RepoHandle, timeout: number, token: Cancel): Promise<boolean>;
  transactionSetRef(repo: RepoHandle, ref: string, checksum: string | undefined): void;
  commitTransaction(repo: RepoHandle, token: Cancel): Promise<TransactionStats>;
  abortTransaction(repo: RepoHandle): Promise<void>;

  hasObject(repo: RepoHandle, type: ObjectType, checksum: string): Promise<boolean>;
  objectSize(repo: RepoHandle, type: ObjectType, checksum: string): Promise<number>;
  deleteObject(repo: RepoHandle, type: ObjectType, checksum: string): Promise<void>;
  listObjects(repo: RepoHandle, token: Cancel): Promise<ObjectName[]>;
  readCommit(repo: RepoHandle, checksum: string): Promise<Commit>;
  readCommitBytes(repo: RepoHandle, checksum: string): Promise<Uint8Array>;
  readDirTree(repo: RepoHandle, checksum: string): Promise<DirTree>;
  readDirMeta(repo: RepoHandle, checksum: string): Promise<DirMeta>;
  readFileInfo(repo: RepoHandle, checksum: string): Promise<FileInfo>;
  readFile(repo: RepoHandle, checksum: string, maxSize: number, token: Cancel): Promise<Uint8Array>;
  openFile(repo: RepoHandle, checksum: string): Promise<StreamHandle>;
  /** Undefined at the end. */
  readStream(stream: StreamHandle, size: number, token: Cancel): Promise<Uint8Array | undefined>;
  closeStream(stream: StreamHandle): void;
  readDetachedMetadata(repo: RepoHandle, checksum: string): Promise<Metadata | undefined>;
  writeDetachedMetadata(repo: RepoHandle, checksum: string, metadata: NativeMetadata | undefined): Promise<void>;

  /** `files`: name, checksum; `dirs`: name, tree, meta; in turn, sorted. */
  writeDirTree(repo: RepoHandle, files: readonly string[], dirs: readonly string[]): Promise<string>;
  writeDirTrees(repo: RepoHandle, trees: readonly Uint8Array[]): Promise<string[]>;
  writeDirMeta(repo: RepoHandle, uid: number, gid: number, mode: number, xattrs: NativeXattrs): Promise<string>;
  writeRegular(
    repo: RepoHandle,
    content: Uint8Array,
    uid: number,
    gid: number,
    mode: number,
    xattrs: NativeXattrs,
  ): Promise<string>;
  writeSymlink(repo: RepoHandle, target: string, uid: number, gid: number, xattrs: NativeXattrs): Promise<string>;
  writeCommit(repo: RepoHandle, rootTree: string, rootMeta: string, commit: NativeCommit): Promise<string>;

  commitDirectory(
    repo: RepoHandle,
    path: string,
    modifier: NativeModifier,
    commit: NativeCommit,
    ref: string | undefined,
    ownTransaction: boolean,
    timeout: number,
    token: Cancel,
  ): Promise<string>;
  writeDirectory(
    repo: RepoHandle,
    path: string,
    tree: TreeHandle,
    modifier: NativeModifier,
    token: Cancel,
  ): Promise<void>;
  checkout(
    repo: RepoHandle,
    commit: string,
    destination: string,
    options: NativeCheckout,
    token: Cancel,
  ): Promise<void>;
  createDevInoCache(): CacheHandle;

  startWalk(repo: RepoHandle, rev: string): Promise<WalkHandle>;
  /** An empty array at the end. */
  continueWalk(walk: WalkHandle, count: number, token: Cancel): Promise<WalkEntry[]>;
  commitSize(repo: RepoHandle, commit: string, token: Cancel): Promise<{ files: number; size: number }>;
  traverseCommit(repo: RepoHandle, commit: string, maxDepth: number, token: Cancel): Promise<ObjectName[]>;
  /** Added, removed, modified. */
  diff(repo: RepoHandle, from: string | undefined, to: string, token: Cancel): Promise<[string[], string[], string[]]>;

  listDeltas(repo: RepoHandle): Promise<StaticDelta[]>;
  generateDelta(repo: RepoHandle, options: NativeGenerate, token: Cancel): Promise<void>;
  applyDelta(
    repo: RepoHandle,
    path: string,
    skipValidation: boolean,
    ownTransaction: boolean,
    timeout: number,
    token: Cancel,
  ): Promise<void>;
  deltaInfo(path: string): Promise<DeltaInfo>;

  prune(
    repo: RepoHandle,
    refsOnly: boolean,
    depth: number,
    dryRun: boolean,
    timeout: number,
    token: Cancel,
  ): Promise<PruneResult>;
  fsckObject(repo: RepoHandle, type: ObjectType, checksum: string): Promise<FsckProblem | undefined>;
  fsck(
    repo: RepoHandle,
    commits: readonly string[] | undefined,
    onProgress: ((progress: FsckProgress) => void) | undefined,
    token: Cancel,
  ): Promise<FsckProblem[]>;
  setCommitPartial(repo: RepoHandle, checksum: string, partial: boolean): Promise<void>;
  isCommitPartial(repo: RepoHandle, checksum: string): Promise<boolean>;

  /** Seconds; 0 tries once, -1 waits for ever. */
  lock(repo: RepoHandle, exclusive: boolean, timeout: number, token: Cancel): Promise<void>;
  unlock(repo: RepoHandle, exclusive: boolean): void;

  createTree(): TreeHandle;
  closeTree(tree: TreeHandle): void;
  treeFromChecksums(repo: RepoHandle, tree: string, meta: string): Promise<TreeHandle>;
  treeFromCommit(repo: RepoHandle, rev: string): Promise<TreeHandle>;
  /** Paths are arrays of components; none for the root. */
  treeEnsureDirectory(tree: TreeHandle, path: readonly string[], meta: string | undefined): Promise<void>;
  treeSetFile(tree: TreeHandle, path: readonly string[], checksum: string): Promise<void>;
  treeRemove(tree: TreeHandle, path: readonly string[], allowMissing: boolean): Promise<void>;
  treeLookup(tree: TreeHandle, path: readonly string[]): Promise<MutableEntry | undefined>;
  treeList(tree: TreeHandle, path: readonly string[]): Promise<Array<{ name: string } & MutableEntry>>;
  writeTree(repo: RepoHandle, tree: TreeHandle, token: Cancel): Promise<[string, string]>;
}
