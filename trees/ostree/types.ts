/** Plain types of the binding: options, results and the mapping of GVariant to JavaScript. */
import type { DevInoCache } from './dev-ino-cache.js';

/** Lowercase hexadecimal SHA-256, 64 digits. */
export type Checksum = string;

export type RepoMode = 'bare' | 'bare-user' | 'bare-user-only' | 'bare-split-xattrs' | 'archive';
export type ObjectType = 'file' | 'dirtree' | 'dirmeta' | 'commit';

export interface Cancellable {
  /** Aborting rejects with the signal's reason and leaves the repository as it was. */
  signal?: AbortSignal | undefined;
}

/**
 * A GVariant of the kinds that commit metadata holds. `type` is a GVariant type string.
 * JavaScript values: `s` string; `b` boolean; `y n q i u` number; `x t` bigint; `d` number; `ay` Uint8Array;
 * `a{sv}` Metadata; `aX` array of X's value; tuples and dictionary entries arrays; `v` Variant; `mX` X's value or undefined.
 */
export interface Variant {
  readonly type: string;
  readonly value: unknown;
}

export type Metadata = Readonly<Record<string, Variant>>;

export interface Xattr {
  /** The name's bytes, without a terminating NUL. */
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

export interface DirMeta {
  readonly uid: number;
  readonly gid: number;
  /** Full `st_mode`, file type bits included. */
  readonly mode: number;
  readonly xattrs: readonly Xattr[];
}

export interface DirTree {
  readonly files: ReadonlyArray<{ readonly name: string; readonly checksum: Checksum }>;
  readonly dirs: ReadonlyArray<{ readonly name: string; readonly tree: Checksum; readonly meta: Checksum }>;
}

export interface FileInfo {
  readonly kind: 'regular' | 'symlink';
  readonly uid: number;
  readonly gid: number;
  /** Full `st_mode`. */
  readonly mode: number;
  /** Bytes; 0 for symlinks. */
  readonly size: number;
  /** Symlinks only. */
  readonly target: string | undefined;
  readonly xattrs: readonly Xattr[];
}

export interface Commit {
  readonly checksum: Checksum;
  readonly parent: Checksum | undefined;
  readonly subject: string;
  readonly body: string;
  /** Seconds since the epoch, UTC. */
  readonly timestamp: number;
  readonly metadata: Metadata;
  readonly rootTree: Checksum;
  readonly rootMeta: Checksum;
}

/** What `Repo.writeCommit` needs. */
export interface CommitInput {
  readonly rootTree: Checksum;
  readonly rootMeta: Checksum;
  readonly parent?: Checksum | undefined;
  readonly subject?: string;
  readonly body?: string;
  /** Seconds since the epoch; required, so that commits are reproducible unless the caller asks for the clock. */
  readonly timestamp: number;
  readonly metadata?: Metadata;
}

/** One entry of `Repo.walk`. */
export interface WalkEntry {
  /** Absolute path inside the tree, `/` for the root. */
  readonly path: string;
  readonly kind: 'directory' | 'file';
  readonly checksum: Checksum;
  /** Directories only. */
  readonly meta: Checksum | undefined;
}

export interface CheckoutOptions extends Cancellable {
  /** `none` keeps owners and modes (needs root with `bare`), `user` does not. */
  mode?: 'none' | 'user';
  overwrite?: 'none' | 'union-files' | 'add-files' | 'union-identical';
  /** Fail rather than copy when a hard link is impossible. */
  requireHardlinks?: boolean;
  /** Never hard link. */
  forceCopy?: boolean;
  forceCopyZeroSized?: boolean;
  bareuserOnlyDirs?: boolean;
  /** Apply `.wh.` and `.wh..wh..opq` entries to the destination. */
  processWhiteouts?: boolean;
  processPassthroughWhiteouts?: boolean;
  /** Path inside the commit; default the whole tree. */
  subpath?: string;
  /** Fsync every file; by default none is, the caller syncs the file system once. */
  enableFsync?: boolean;
  /** libostree's name for `requireHardlinks`. */
  noCopyFallback?: boolean;
  /** Remembers which inode holds which object, for a later commit of the checkout. Not with `forceCopy`. */
  devInoCache?: DevInoCache;
}

export interface DiffResult {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly modified: readonly string[];
}

export interface DeltaPartInfo {
  readonly version: number;
  readonly checksum: Checksum;
  /** Bytes as stored. */
  readonly size: number;
  /** Bytes of the objects it writes. */
  readonly uncompressedSize: number;
  readonly objects: ReadonlyArray<{ readonly type: ObjectType; readonly checksum: Checksum }>;
}

export interface DeltaInfo {
  readonly from: Checksum | undefined;
  readonly to: Checksum;
  /** Seconds since the epoch. */
  readonly timestamp: number;
  readonly commit: Commit;
  readonly detachedMetadata: Metadata | undefined;
  readonly inline: boolean;
  readonly parts: readonly DeltaPartInfo[];
  readonly fallbacks: ReadonlyArray<{ readonly type: ObjectType; readonly checksum: Checksum; readonly size: number }>;
}

export interface GenerateDeltaOptions extends Cancellable {
  from?: Checksum | undefined;
  to: Checksum;
  /** Put the parts into the superblock: one file. */
  inlineParts?: boolean;
  /** Megabytes (10^6 bytes); 0 makes the delta applicable offline. libostree's default is 4. */
  minFallbackSize?: number;
  /** Megabytes, old and new file together. libostree's default is 128. */
  maxBsdiffSize?: number;
  /** Megabytes of payload in a part. libostree's default is 32. */
  maxChunkSize?: number;
  disableBsdiff?: boolean;
  /** Entries added to the front of the superblock's metadata. */
  metadata?: Metadata;
  /** Output file; without it the delta goes into the repository. */
  filename?: string;
}

export interface PruneOptions extends Cancellable {
  /** Only refs keep commits alive; otherwise every commit object does. */
  refsOnly?: boolean;
  /** Parents to keep per ref; -1, the default, keeps all. */
  depth?: number;
  /** Count, delete nothing. */
  dryRun?: boolean;
  /** How long to wait for the exclusive lock. Default 300 s. */
  lockTimeout?: LockTimeout;
}

export interface PruneResult {
  readonly objectsTotal: number;
  readonly objectsPruned: number;
  /** Bytes. */
  readonly freed: number;
}

export interface FsckProblem {
  readonly type: ObjectType;
  readonly checksum: Checksum;
  readonly problem: 'missing' | 'corrupt';
  readonly message: string;
}

/** Seconds, or for ever, or not at all. */
export type LockTimeout = number | 'infinite' | 'try';
export type LockKind = 'shared' | 'exclusive';

export interface LockOptions extends Cancellable {
  /** Default 300 s. Running out of time is an OstreeError `wouldBlock`. */
  timeout?: LockTimeout;
}

export interface BeginTransactionOptions extends Cancellable {
  /** How long to wait for the shared lock. Default 300 s. */
  lockTimeout?: LockTimeout;
}

export interface TransactionStats {
  readonly metadataObjectsTotal: number;
  readonly metadataObjectsWritten: number;
  readonly contentObjectsTotal: number;
  readonly contentObjectsWritten: number;
  readonly contentBytesWritten: number;
  readonly devInoCacheHits: number;
}

export interface FsckOptions extends Cancellable {
  /** Check what these commits reach; default every commit in the repository. */
  commits?: readonly Checksum[];
  onProgress?: (progress: FsckProgress) => void;
}

export interface FsckProgress {
  readonly checked: number;
  readonly total: number;
}

export interface CommitSize {
  /** Everything that is not a directory. */
  readonly files: number;
  /** Bytes of regular files, unpacked; a file that appears twice counts twice. */
  readonly size: number;
}

/** What may be changed about an entry while it is committed. */
export interface EntryOverride {
  /** Permission bits (0o7777); the file type stays. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** What a commit filter is told about an entry. */
export interface EntryInfo {
  /** Full `st_mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  readonly isDir: boolean;
}

/**
 * How a directory becomes a tree. The declarative options run without leaving the worker thread; `filter` and `xattrs`
 * call back into JavaScript for every entry and are slower by tens of microseconds each.
 * Order: `exclude`, `owner`, `modeMask`, `modeSet`, `overrides`, `filter`, and last `canonicalPermissions`.
 */
export interface CommitModifierOptions {
  /**
   * Entries to leave out, with everything below. A string is an absolute path inside the tree; a RegExp is matched
   * against that path (by PCRE: no `v`, `y` or `d` flags). libostree refuses sockets, pipes and devices even so: remove
   * them, or leave out the directory they are in.
   */
  exclude?: ReadonlyArray<string | RegExp>;
  /** Owner of everything. */
  owner?: { readonly uid: number; readonly gid: number };
  /** Permission bits to keep, `mode & modeMask`. */
  modeMask?: number;
  /** Permission bits to add, `mode | modeSet`. */
  modeSet?: number;
  /** By absolute path inside the tree. */
  overrides?: ReadonlyMap<string, EntryOverride>;
  /** Returns false to leave the entry out (with everything below), true to keep it, or what to change. */
  filter?: (path: string, info: EntryInfo) => boolean | EntryOverride;
  /** Extended attributes of an entry, in place of those on disk. */
  xattrs?: (path: string, info: EntryInfo) => readonly Xattr[];
  skipXattrs?: boolean;
  /** Owner 0:0, no set-id bits, `0755`/`0644`: what `bare-user-only` needs. */
  canonicalPermissions?: boolean;
  devInoCache?: DevInoCache;
  /** Trust the cache even where the repository's mode would forbid it. */
  devInoCanonical?: boolean;
  /** Move files into the repository instead of copying; the source is gone afterwards. */
  consume?: boolean;
  /** Record sizes in the commit (`ostree.sizes`). */
  generateSizes?: boolean;
}

export interface CommitDirectoryOptions extends CommitModifierOptions, Cancellable {
  parent?: Checksum | undefined;
  subject?: string;
  body?: string;
  /** Seconds since the epoch. */
  timestamp: number;
  metadata?: Metadata;
  /** Set in the same transaction. */
  ref?: string;
}

export type NewFile = {
  readonly uid: number;
  readonly gid: number;
  readonly xattrs?: readonly Xattr[];
} & (
  | {
      readonly kind: 'regular';
      readonly content: Uint8Array;
      /** Permission bits, or the full `st_mode` of a regular file. */
      readonly mode: number;
    }
  | { readonly kind: 'symlink'; readonly target: string; readonly mode?: number }
);

/** What a path of a mutable tree holds. Checksums of a changed directory are unknown until it is written. */
export type MutableEntry =
  | { readonly kind: 'file'; readonly checksum: Checksum }
  | { readonly kind: 'directory'; readonly tree: Checksum | undefined; readonly meta: Checksum | undefined };

export interface StaticDelta {
  readonly from: Checksum | undefined;
  readonly to: Checksum;
}

/** `core.min-free-space-*`: room that writing content leaves on the file system. */
export type MinFreeSpace = { readonly percent: number } | { readonly size: number; readonly unit: 'MB' | 'GB' | 'TB' };

export interface ObjectName {
  readonly type: ObjectType;
  readonly checksum: Checksum;
}

export interface ApplyDeltaOptions extends Cancellable {
  /** Trust the checksums that the delta states for its objects and parts. Only for bytes that were verified. */
  skipValidation?: boolean;
  /** How long to wait for the shared lock. Default 300 s. */
  lockTimeout?: LockTimeout;
}
