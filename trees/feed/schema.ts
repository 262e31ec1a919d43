import * as z from 'zod/mini';

/**
 * `index.json`: what a feed offers. It is trusted only after its signature has been verified, and even then every
 * count, size and name is validated here before it is used.
 */
export const INDEX_SCHEMA_VERSION = 1;

/** More than any real feed has, and little enough to read and plan over in well under a second. */
export const indexLimits = {
  /** Bytes of `index.json`. */
  bytes: 32 * 1024 * 1024,
  /** Bytes of `index.json.minisig` and of `trees.pub`. */
  signatureBytes: 16 * 1024,
  names: 10_000,
  versions: 1000,
  bundles: 50_000,
  /** Of one bundle. */
  pieces: 1000,
} as const;

const checksum = z.string().check(z.regex(/^[0-9a-f]{64}$/, 'expected 64 lowercase hexadecimal digits'));
const name = z
  .string()
  .check(z.regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'expected a name of lowercase letters, digits, ".", "_" and "-"'));
/** Full semver without build metadata, so that it is also a valid ostree ref component. */
const version = z.string().check(z.regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, 'expected a semantic version'));
/** As in `uname -m`. */
const arch = z.string().check(z.regex(/^[a-z0-9_]{1,32}$/, 'expected an architecture as in uname -m'));
const summary = z.string().check(z.maxLength(1000));
const bytes = z.int().check(z.nonnegative());
const timestamp = z.iso.datetime();

/** What one commit unpacks to. */
const content = {
  commit: checksum,
  /** Unpacked bytes of regular files. */
  size: bytes,
  /** Number of files, symlinks included, directories not. */
  files: z.int().check(z.nonnegative()),
  released: timestamp,
};

/** Who gets a version: everybody, or only those who asked for what is not settled yet. */
export const channels = ['stable', 'edge'] as const;

/** Absent: stable. Users of `edge` get the versions of both. */
const channel = z.optional(z.enum(channels));

const baseVersionSchema = z.strictObject({ version, arch, channel, ...content });

const appVersionSchema = z.strictObject({
  version,
  arch,
  channel,
  ...content,
  base: z.strictObject({
    name,
    /** npm semver range that the base version must satisfy. */
    range: z.string().check(z.maxLength(200)),
    /** Base version the publisher built and tested with. */
    tested: version,
    /** Commit that composing base `tested` with this layer gives; composition is deterministic. */
    tree: checksum,
  }),
});

const file = z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/, 'expected a plain file name'));

/** A bundle that no single release asset can hold is stored in pieces: files whose concatenation is the bundle. */
const pieceSchema = z.strictObject({ file, size: z.int().check(z.positive()), sha256: checksum });

/** One downloadable delta. Applying it to a store that has `from` (or to any store if null) gives `to`. */
const bundleSchema = z.strictObject({
  from: z.nullable(checksum),
  to: checksum,
  file,
  encoding: z.enum(['fast', 'small']),
  /** Release (tag) that holds the file, for feeds that keep files per release (`github:`). */
  release: z.optional(z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'expected a tag name'))),
  /** Bytes to fetch. */
  size: bytes,
  sha256: checksum,
  /** Bytes of the static delta inside (after decompression). */
  rawSize: bytes,
  /** Bytes of object content that applying writes. */
  writes: bytes,
  /**
   * Bytes at the end of the file that hold the last frame (end of the superblock: part headers, commit) and the seek
   * table: one request for them tells all about the bundle.
   */
  tail: z.optional(z.int().check(z.positive())),
  /** Where one file cannot hold the bundle; `size` and `sha256` above are those of the whole, `file` is its name. */
  pieces: z.optional(z.array(pieceSchema).check(z.minLength(2), z.maxLength(indexLimits.pieces))),
});

export const indexSchema = z.strictObject({
  schema: z.literal(INDEX_SCHEMA_VERSION),
  /** Identity of the feed; two indexes with different ids are never versions of one another. */
  feed: z.string().check(z.minLength(1), z.maxLength(200)),
  /** Grows by at least one with every publish. */
  sequence: z.int().check(z.positive()),
  created: timestamp,
  expires: timestamp,
  bases: z.record(
    name,
    z.strictObject({ summary, versions: z.array(baseVersionSchema).check(z.maxLength(indexLimits.versions)) }),
  ),
  apps: z.record(
    name,
    z.strictObject({ summary, versions: z.array(appVersionSchema).check(z.maxLength(indexLimits.versions)) }),
  ),
  bundles: z.array(bundleSchema).check(z.maxLength(indexLimits.bundles)),
});

export type Channel = (typeof channels)[number];
export type FeedIndex = z.infer<typeof indexSchema>;
export type BaseVersion = z.infer<typeof baseVersionSchema>;
export type AppVersion = z.infer<typeof appVersionSchema>;
export type BundleEntry = z.infer<typeof bundleSchema>;
