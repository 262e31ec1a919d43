import * as z from 'zod/mini';
import { TreesError } from '../errors.js';
import { type Feed, feedFile } from './feed.js';
import { type ReadOptions, readFeedFile } from './index-pair.js';
import { encodePublicKey, type PublicKey, parsePublicKey, parseSignature, verifyMinisign } from './minisign.js';

/**
 * How a feed changes its key: the old key signs a statement that names the new one. `successors.json` beside the index
 * holds every statement of the feed, oldest first. Each is a short text of five lines with two minisign signatures:
 * one of the old key, which those who trust it follow to the new one; one of the new key, which those who trust only
 * that one need to accept commits that the old key has signed. A statement is about one feed, named by its id: a key
 * that signs several feeds hands over each of them on its own.
 */

/** Bytes of `successors.json`. */
const MAX_BYTES = 256 * 1024;
const MAX_STATEMENTS = 64;
/** Keys on the way from a trusted one to the one that signs now. Nobody who refreshes now and then is further behind. */
export const MAX_CHAIN = 16;

const HEAD = 'trees key succession';
const STATEMENT = /^trees key succession\nfeed: (.+)\nfrom: (\S+)\nto: (\S+)\ncreated: (\S+)\n$/;

const fileSchema = z.strictObject({
  schema: z.literal(1),
  statements: z
    .array(z.strictObject({ statement: z.string(), oldSignature: z.string(), newSignature: z.string() }))
    .check(z.maxLength(MAX_STATEMENTS)),
});

/** What a statement says. */
export interface Succession {
  /** `feed` of the index. */
  readonly feed: string;
  readonly from: PublicKey;
  readonly to: PublicKey;
  /** ISO 8601. */
  readonly created: string;
}

/** A statement with its two `.minisig` texts. */
export interface SignedSuccession {
  readonly statement: string;
  readonly oldSignature: string;
  readonly newSignature: string;
}

/** Key ids are only names, which anybody may choose: keys are the same if their bytes are. */
export function isSameKey(a: PublicKey, b: PublicKey): boolean {
  return encodePublicKey(a) === encodePublicKey(b);
}

/** The text that is signed. It cannot be taken for an index, nor an index for it. */
export function formatStatement({ feed, from, to, created }: Succession): string {
  const lines = [HEAD, `feed: ${JSON.stringify(feed)}`, `from: ${encodePublicKey(from)}`, `to: ${encodePublicKey(to)}`];
  return `${[...lines, `created: ${created}`].join('\n')}\n`;
}

export function formatSuccessors(statements: readonly SignedSuccession[]): string {
  return `${JSON.stringify({ schema: 1, statements }, undefined, 1)}\n`;
}

function invalid(origin: string, why: string, cause?: unknown): TreesError {
  return new TreesError('INDEX_INVALID', `cannot read ${feedFile.successors} of ${origin}: ${why}`, {
    hint: 'tell the publisher; what is trusted here stays as it is',
    ...(cause === undefined ? {} : { cause }),
  });
}

function parseStatement(text: string, origin: string): Succession {
  const [, feed = '', from = '', to = '', created = ''] = STATEMENT.exec(text) ?? [];
  let parsed: Succession;
  try {
    const id: unknown = JSON.parse(feed);
    if (typeof id !== 'string') throw new Error('Expected the id of the feed to be a string');
    parsed = { feed: id, from: parsePublicKey(from, 'the old key'), to: parsePublicKey(to, 'the new key'), created };
  } catch (cause) {
    throw invalid(origin, 'one of its statements is malformed', cause);
  }
  // One statement has one spelling.
  if (formatStatement(parsed) !== text) throw invalid(origin, 'one of its statements is malformed');
  return parsed;
}

/**
 * Reads `successors.json` and checks both signatures of every statement. Whether any of the keys is to be trusted is
 * another question: `followSuccessions`.
 * @throws TreesError INDEX_INVALID, SIGNATURE_INVALID
 */
export function parseSuccessors(
  bytes: Uint8Array,
  origin: string,
): ReadonlyArray<Succession & { readonly signed: SignedSuccession }> {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(origin, 'it is not JSON', cause);
  }
  const parsed = z.safeParse(fileSchema, document);
  if (!parsed.success) throw invalid(origin, `it is not a list of at most ${MAX_STATEMENTS} statements`, parsed.error);
  return parsed.data.statements.map((signed) => {
    const said = parseStatement(signed.statement, origin);
    const message = Buffer.from(signed.statement);
    const what = `the succession of key ${said.from.id} by ${said.to.id} in ${origin}`;
    for (const [text, key] of [
      [signed.oldSignature, said.from],
      [signed.newSignature, said.to],
    ] as const) {
      verifyMinisign(message, parseSignature(text, what), { keys: [key], what });
    }
    return { ...said, signed };
  });
}

/**
 * The statements that lead from a trusted key to the key that has signed, oldest first.
 * @param options.feed id of the feed: statements on other feeds do not count
 * @returns undefined if none lead there
 * @throws TreesError FEED_UNTRUSTED if a key on the way has named two successors, or the way is too long
 */
export function followSuccessions(
  successions: readonly Succession[],
  options: { readonly trusted: readonly PublicKey[]; readonly signer: PublicKey; readonly feed: string },
): readonly Succession[] | undefined {
  const { trusted, signer, feed } = options;
  const ours = successions.filter((succession) => succession.feed === feed);
  for (const start of trusted) {
    const way: Succession[] = [];
    const visited: PublicKey[] = [start];
    let key = start;
    while (!isSameKey(key, signer)) {
      const nexts = ours.filter(({ from }) => isSameKey(from, key));
      const [next] = nexts;
      if (next === undefined) break;
      if (nexts.some(({ to }) => !isSameKey(to, next.to))) {
        throw new TreesError('FEED_UNTRUSTED', `cannot follow key ${key.id}: it has named several successors`, {
          hint: 'somebody else may have that key: ask the publisher, then remove the feed and add it with the right key',
          details: { key: key.id, successors: nexts.map(({ to }) => to.id) },
        });
      }
      // Round and round leads nowhere.
      if (visited.some((known) => isSameKey(known, next.to))) break;
      if (way.length === MAX_CHAIN) {
        throw new TreesError(
          'FEED_UNTRUSTED',
          `cannot follow key ${start.id}: over ${MAX_CHAIN} successors follow it`,
          {
            hint: 'remove the feed and add it again with its present key',
          },
        );
      }
      way.push(next);
      visited.push(next.to);
      ({ to: key } = next);
    }
    if (way.length > 0 && isSameKey(key, signer)) return way;
  }
  return undefined;
}

/** The keys that came before one, which has confirmed each of them: they may have signed commits, no longer an index. */
export function predecessorsOf(
  successions: readonly Succession[],
  { key, feed }: { readonly key: PublicKey; readonly feed: string },
): readonly PublicKey[] {
  const found: PublicKey[] = [];
  const isKnown = (other: PublicKey): boolean => [key, ...found].some((known) => isSameKey(known, other));
  for (let grew = true; grew && found.length < MAX_CHAIN; ) {
    const before = successions.find(
      (succession) => succession.feed === feed && isKnown(succession.to) && !isKnown(succession.from),
    );
    grew = before !== undefined;
    if (before !== undefined) found.push(before.from);
  }
  return found;
}

/**
 * The statements that a feed publishes, signatures checked.
 * @returns undefined if it has none
 * @throws TreesError FEED_UNREACHABLE; as `parseSuccessors`
 */
export async function readSuccessors(
  feed: Feed,
  options: ReadOptions = {},
): Promise<{ readonly bytes: Buffer; readonly successions: ReturnType<typeof parseSuccessors> } | undefined> {
  const bytes = await readFeedFile(feed, feedFile.successors, { ...options, limit: MAX_BYTES });
  return bytes === undefined ? undefined : { bytes, successions: parseSuccessors(bytes, feed.url) };
}
