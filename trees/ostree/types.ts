/** Plain types of the binding: options, results and the mapping of GVariant to JavaScript. */

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
 * `a{sv}` Metadata; `aX` array of X's value; tuples arrays; `v` Variant.
 */
export interface Variant {
  readonly type: string;
  readonly value: unknown;
}

export type Metadata = Readonly<Record<string, Variant>>;

export interface Xattr {
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
  enableFsync?: boolean;
  noCopyFallback?: boolean;
  devInoCache?: boolean;
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
  inlineParts?: boolean;
  /** Megabytes; 0 makes the delta applicable offline. */
  minFallbackSize?: number;
  maxBsdiffSize?: number;
  maxChunkSize?: number;
  disableBsdiff?: boolean;
  /** Output file; without it the delta goes into the repository. */
  filename?: string;
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
