import { createHash } from 'node:crypto';
import validVersion from 'semver/functions/valid.js';
import validRange from 'semver/ranges/valid.js';
import * as z from 'zod/mini';
import en from 'zod/v4/locales/en.js';
import { TreesError } from '../errors.js';
import { type PublicKey, parseSignature, verifyMinisign } from './minisign.js';
import { type FeedIndex, indexLimits, indexSchema } from './schema.js';

/** What a store remembers of the newest index it accepted from a feed: protection against replay. */
export interface SeenIndex {
  /** `feed` of the index. */
  readonly id: string;
  readonly sequence: number;
  /** SHA-256 of the bytes of `index.json`. */
  readonly sha256: string;
}

export interface IndexInput {
  /** Bytes of `index.json`. */
  readonly index: Uint8Array;
  /** Contents of `index.json.minisig`; undefined if the feed has none. */
  readonly signature: string | undefined;
}

export interface VerifyOptions {
  /** Keys the user chose to trust for this feed. */
  readonly keys: readonly PublicKey[];
  readonly seen: SeenIndex | undefined;
  readonly now: Date;
  /** Accept an expired index. */
  readonly allowStale?: boolean | undefined;
  /** Where the index came from, for messages. */
  readonly origin: string;
}

export interface VerifiedIndex {
  readonly index: FeedIndex;
  readonly seen: SeenIndex;
  readonly signedBy: PublicKey;
  /** True if it has expired (only with `allowStale`). */
  readonly stale: boolean;
}

function invalid(origin: string, path: string, why: string): TreesError {
  return new TreesError('INDEX_INVALID', `cannot read the index of ${origin}: ${path}: ${why}`, {
    hint: 'tell the publisher; the index that is stored here is kept',
    details: { path },
  });
}

/** `apps.etcd.versions[0].commit` */
function formatPath(path: readonly PropertyKey[]): string {
  const parts = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`));
  return parts.join('').replace(/^\./, '') || 'document';
}

function parseIndex(bytes: Uint8Array, origin: string): FeedIndex {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(
      origin,
      'document',
      `Expected JSON, got ${cause instanceof Error ? cause.message : 'something else'}`,
    );
  }
  z.config(en());
  const parsed = z.safeParse(indexSchema, document);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalid(origin, formatPath(issue?.path ?? []), issue?.message ?? 'not an index');
}

type Fail = (path: string, why: string) => TreesError;

function checkVersions(
  versions: readonly { version: string; arch: string; commit: string }[],
  path: string,
  options: { commits: Set<string>; fail: Fail },
): void {
  const seen = new Set<string>();
  for (const [index, entry] of versions.entries()) {
    if (validVersion(entry.version) !== entry.version) {
      throw options.fail(`${path}.versions[${index}].version`, `Expected a semantic version, got "${entry.version}"`);
    }
    const id = `${entry.version} for ${entry.arch}`;
    if (seen.has(id)) throw options.fail(`${path}.versions[${index}]`, `${id} is listed twice`);
    seen.add(id);
    options.commits.add(entry.commit);
  }
}

/** What the schema cannot say: references between the parts of an index. */
function checkMeaning(index: FeedIndex, fail: Fail): void {
  const commits = new Set<string>();
  for (const [group, entries] of [
    ['bases', index.bases],
    ['apps', index.apps],
  ] as const) {
    const names = Object.entries(entries);
    if (names.length > indexLimits.names)
      throw fail(group, `Expected at most ${indexLimits.names}, got ${names.length}`);
    for (const [name, entry] of names) checkVersions(entry.versions, `${group}.${name}`, { commits, fail });
  }
  for (const [name, app] of Object.entries(index.apps)) {
    for (const [position, { base, arch }] of app.versions.entries()) {
      const path = `apps.${name}.versions[${position}].base`;
      if (validRange(base.range) === null) throw fail(`${path}.range`, `Expected a semver range, got "${base.range}"`);
      const known = Object.hasOwn(index.bases, base.name) ? index.bases[base.name] : undefined;
      if (known === undefined) throw fail(`${path}.name`, `this feed has no base called "${base.name}"`);
      if (!known.versions.some((version) => version.arch === arch)) {
        throw fail(`${path}.name`, `base "${base.name}" has no version for ${arch}`);
      }
    }
  }
  const files = new Map<string, string>();
  for (const [position, bundle] of index.bundles.entries()) {
    const path = `bundles[${position}]`;
    if (!commits.has(bundle.to)) throw fail(`${path}.to`, `no version in the index is commit ${bundle.to}`);
    if (bundle.from === bundle.to) throw fail(`${path}.from`, 'a bundle cannot lead from a commit to itself');
    for (const { file, sha256 } of [bundle, ...(bundle.pieces ?? [])]) {
      const name = `${bundle.release ?? ''}/${file}`;
      if ((files.get(name) ?? sha256) !== sha256) throw fail(`${path}.file`, `"${file}" is listed with two digests`);
      files.set(name, sha256);
    }
    const whole = bundle.pieces?.reduce((sum, { size }) => sum + size, 0) ?? bundle.size;
    if (whole !== bundle.size) throw fail(`${path}.pieces`, `Expected ${bundle.size} bytes in all, got ${whole}`);
    if ((bundle.tail ?? 0) > bundle.size) {
      throw fail(`${path}.tail`, `Expected at most the bundle's ${bundle.size} bytes, got ${bundle.tail}`);
    }
  }
  if (Date.parse(index.expires) <= Date.parse(index.created)) throw fail('expires', 'Expected a time after "created"');
}

function checkReplay(seen: SeenIndex, now: SeenIndex, origin: string): void {
  const fail = (why: string): TreesError =>
    new TreesError('INDEX_REPLAYED', `cannot accept the index of ${origin}: ${why}`, {
      hint: 'a mirror may be behind, or somebody serves an old index to hold back updates; the stored index is kept',
      details: { seen, offered: now },
    });
  if (now.id !== seen.id) throw fail(`it belongs to feed "${now.id}", this feed was "${seen.id}"`);
  if (now.sequence < seen.sequence) {
    throw fail(`its sequence is ${now.sequence}, but ${seen.sequence} has been seen already`);
  }
  if (now.sequence === seen.sequence && now.sha256 !== seen.sha256) {
    throw fail(`sequence ${now.sequence} has been seen with other contents`);
  }
}

/**
 * Turns bytes that somebody served into an index to rely on. Pure. The signature is checked before a byte is parsed.
 * @throws TreesError FEED_UNTRUSTED (unsigned, or by a key that is not trusted), SIGNATURE_INVALID (tampered with),
 *   INDEX_INVALID (malformed; the path in the document is named), INDEX_REPLAYED, INDEX_EXPIRED
 */
export function verifyIndex(input: IndexInput, options: VerifyOptions): VerifiedIndex {
  const { origin } = options;
  if (input.signature === undefined) {
    throw new TreesError('FEED_UNTRUSTED', `cannot trust the index of ${origin}: it is not signed`, {
      hint: 'only signed feeds can be used; a publisher signs with `trees release --key`',
    });
  }
  const signature = parseSignature(input.signature, `the signature of ${origin}`);
  const signedBy = verifyMinisign(input.index, signature, { keys: options.keys, what: `the index of ${origin}` });
  if (input.index.length > indexLimits.bytes) {
    throw invalid(origin, 'document', `Expected at most ${indexLimits.bytes} bytes, got ${input.index.length}`);
  }
  const index = parseIndex(input.index, origin);
  checkMeaning(index, (path, why) => invalid(origin, path, why));
  const sha256 = createHash('sha256').update(input.index).digest('hex');
  const seen: SeenIndex = { id: index.feed, sequence: index.sequence, sha256 };
  if (options.seen !== undefined) checkReplay(options.seen, seen, origin);
  const stale = Date.parse(index.expires) <= options.now.getTime();
  if (stale && options.allowStale !== true) {
    throw new TreesError('INDEX_EXPIRED', `cannot accept the index of ${origin}: it expired at ${index.expires}`, {
      hint: 'check the clock of this machine, ask the publisher for a new release, or pass --allow-stale',
      details: { expires: index.expires, now: options.now.toISOString() },
    });
  }
  return { index, seen, signedBy, stale };
}
