import assert from 'node:assert/strict';
import { signFile } from '../../releases/sign.js';
import { TreesError } from '../../trees/errors.js';
import { verifyIndex } from '../../trees/feed/verify-index.js';
import type { FeedFixture } from './feed-fixture.js';

/** Values that a parser may trip over, in the place of any other. */
const oddities: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e308,
  '',
  '..',
  '../../etc/passwd',
  'a\0b',
  '\ud800',
  '2026-13-45T99:00:00Z',
  '2026-01-01T00:00:00Z',
  '1.2.3-rc.1',
  '>=1 <0 || ^'.repeat(200),
  'x'.repeat(100_000),
  [],
  {},
  [[]],
  { __proto__: null, constructor: 1, toString: 2 },
];
const oddNames = ['__proto__', 'constructor', 'A B', '../x', '', 'pieces', 'tail', 'release', 'channel'];
const CODES = new Set(['INDEX_INVALID', 'INDEX_EXPIRED', 'INDEX_REPLAYED', 'SIGNATURE_INVALID', 'FEED_UNTRUSTED']);

export const changeKinds = ['value', 'delete', 'copy', 'rename', 'add', 'bytes'] as const;

/** One change to a document: to its `where`-th place, with the `what`-th of what there is to put there. */
export type Change = readonly [kind: (typeof changeKinds)[number], where: number, what: number];

/** Every object and array below a value, with the keys they have. */
function places(value: unknown): Array<readonly [object, string]> {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [[value, key] as const, ...places(child)]);
}

function change(document: object, [kind, where, what]: Change): void {
  const all = places(document);
  const [parent, key] = all[where % Math.max(1, all.length)] ?? [];
  if (parent === undefined || key === undefined) return;
  const [other, otherKey] = all[what % all.length] ?? [parent, key];
  if (kind === 'delete') Reflect.deleteProperty(parent, key);
  else if (kind === 'value') Reflect.set(parent, key, oddities[what % oddities.length]);
  else if (kind === 'copy') Reflect.set(parent, key, structuredClone(Reflect.get(other, otherKey)));
  else if (kind === 'add' && Array.isArray(parent)) parent.push(structuredClone(Reflect.get(other, otherKey)));
  else if (kind === 'rename' || kind === 'add') {
    const name = oddNames[what % oddNames.length] ?? '';
    Object.defineProperty(parent, name, { value: Reflect.get(parent, key), enumerable: true, configurable: true });
  }
}

/** The document with the changes, as the bytes of a file; changes of bytes come last. */
export function changedIndex(document: object, changes: readonly Change[]): Buffer<ArrayBuffer> {
  const copy: object = structuredClone(document);
  for (const one of changes) if (one[0] !== 'bytes') change(copy, one);
  const bytes = Buffer.from(JSON.stringify(copy));
  for (const [kind, where, what] of changes) if (kind === 'bytes') bytes.writeUInt8(what % 256, where % bytes.length);
  return bytes;
}

/**
 * Signs the bytes with a trusted key and has them verified.
 * @returns `accepted`, or the code of the refusal; anything else that happens fails the test
 */
export function outcomeOf(bytes: Uint8Array, fixture: FeedFixture): string {
  const now = new Date('2026-06-01T00:00:00Z');
  const signature = signFile(bytes, fixture.key, { file: 'index.json', sequence: 1, now });
  try {
    const { index } = verifyIndex(
      { index: bytes, signature },
      { keys: [fixture.key.public], seen: undefined, now, origin: 'test' },
    );
    for (const { file, pieces = [] } of index.bundles) {
      for (const name of [file, ...pieces.map((piece) => piece.file)]) assert.doesNotMatch(name, /^\.|[/\0]/);
    }
    return 'accepted';
  } catch (error) {
    assert.ok(error instanceof TreesError, String(error));
    assert.ok(CODES.has(error.code), error.code);
    assert.ok(error.message.length < 2000, `a message of ${error.message.length} characters`);
    return error.code;
  }
}
