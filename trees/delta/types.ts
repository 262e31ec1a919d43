/** Plain types of bundles. In short, a bundle is an inline OSTree static delta in the seekable zstd format. */
import type { Cancellable, Checksum, Metadata, ObjectType } from '../ostree/types.js';

/** `fast`: parts stored raw, zstd does the work. `small`: parts as xz, smaller and slower to apply. */
export type BundleEncoding = 'fast' | 'small';

export interface BundleProgress {
  /** Bytes of objects dealt with so far. */
  readonly done: number;
  /** Bytes of all objects; 0 while that is unknown. */
  readonly total: number;
}

interface Options extends Cancellable {
  /** Called a few times a second. */
  onProgress?: ((progress: BundleProgress) => void) | undefined;
}

export interface CreateBundleOptions extends Options {
  repoPath: string;
  /** Commit the receiver has; without it the bundle is complete. */
  from?: Checksum | undefined;
  to: Checksum;
  /** File to write; replaced when the bundle is finished. */
  output: string;
  /** Default `fast`. */
  encoding?: BundleEncoding | undefined;
  /** Several times faster, several percent larger. */
  quick?: boolean | undefined;
  /** zstd level, 1 to 22; default 18, 4 with `quick`. */
  level?: number | undefined;
  /** Threads; default one per CPU. The result does not depend on it. */
  threads?: number | undefined;
}

export interface CreatedBundle {
  /** Bytes of the file. */
  readonly size: number;
  /** Bytes at its end that tell all about it: the last frame, with the superblock's end, and the seek table. */
  readonly tail: number;
  readonly sha256: Checksum;
  /** Bytes of the static delta inside. */
  readonly rawSize: number;
  /** Bytes of the objects that applying writes. */
  readonly writes: number;
  readonly parts: number;
  readonly objects: number;
}

export interface BundlePart {
  /** Where its frames start in the file. */
  readonly offset: number;
  /** Bytes of its frames; fetching [offset, offset + compressedSize) is enough to read the part. */
  readonly compressedSize: number;
  /** Bytes of the part inside the static delta. */
  readonly rawSize: number;
  /** Bytes of its objects. */
  readonly writes: number;
  readonly objects: ReadonlyArray<{ readonly type: ObjectType; readonly checksum: Checksum }>;
}

export interface BundleCommit {
  readonly checksum: Checksum;
  readonly parent: Checksum | undefined;
  readonly subject: string;
  readonly body: string;
  /** Seconds since the epoch, UTC. */
  readonly timestamp: number;
  readonly metadata: Metadata;
}

export interface BundleInfo {
  /** Null for a complete bundle. */
  readonly from: Checksum | null;
  readonly to: Checksum;
  /** `stock` for deltas of other makers. */
  readonly encoding: BundleEncoding | 'stock';
  readonly size: number;
  readonly rawSize: number;
  readonly writes: number;
  readonly objects: number;
  readonly parts: readonly BundlePart[];
  readonly commit: BundleCommit;
  /** The commit object itself: what signatures cover. */
  readonly commitBytes: Uint8Array;
  /** Detached metadata of the commit (signatures), if the bundle carries any. */
  readonly detached: Metadata | undefined;
}

export interface ExpectedBundle {
  from: Checksum | null;
  to: Checksum;
  /** Bytes of the file. */
  size: number;
  sha256?: Checksum | undefined;
  /** Bytes of the static delta inside. */
  rawSize?: number | undefined;
  /** Bytes of the objects that applying writes. */
  writes?: number | undefined;
}

interface ApplyOptions extends Options {
  repoPath: string;
  /** Set in the transaction that writes the objects. */
  ref?: string | undefined;
  /** Called before anything is written; throwing refuses the bundle, and the error is passed on. */
  verifyCommit?: ((commitBytes: Uint8Array, detached: Metadata | undefined) => void | Promise<void>) | undefined;
  threads?: number | undefined;
}

export interface ApplyBundleOptions extends ApplyOptions {
  path: string;
  /** What the index says of the bundle; anything else is refused, and the repository stays as it is. */
  expect?: ExpectedBundle | undefined;
}

/** What is known of a file that is being downloaded. */
export interface Arrival {
  /** Resolves to a descriptor of the file when its first bytes are there; it stays open until applying has ended. */
  readonly file: Promise<number>;
  /** Calls `listener` with the number of bytes that are there, now and whenever it changes. One listener at a time. */
  listen(listener: (bytes: number) => void): void;
}

export interface ApplyArrivingOptions extends ApplyOptions {
  /** For messages. */
  name: string;
  expect: ExpectedBundle & { sha256: Checksum };
  arrival: Arrival;
  /** The last `bytes` bytes of the file, from wherever they come: they are compared with the file's when those arrive. */
  readTail: (bytes: number) => Promise<Uint8Array>;
  /** How many bytes of tail to begin with; more are read if they turn out to be too few. */
  tail: number;
}

export interface AppliedBundle {
  readonly to: Checksum;
  readonly objectsWritten: number;
  readonly bytesWritten: number;
}
