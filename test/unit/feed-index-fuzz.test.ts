import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { signFile } from '../../releases/sign.js';
import { TreesError } from '../../trees/errors.js';
import { type VerifyOptions, verifyIndex } from '../../trees/feed/verify-index.js';
import { createFeedFixture, makeIndex } from '../support/feed-fixture.js';

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
  '>=1 <0 || ^'.repeat(200),
  'x'.repeat(100_000),
  [],
  {},
  [[]],
  { __proto__: null, constructor: 1, toString: 2 },
];
const CODES = new Set(['INDEX_INVALID', 'INDEX_EXPIRED', 'INDEX_REPLAYED', 'SIGNATURE_INVALID', 'FEED_UNTRUSTED']);

type Change = readonly [kind: 'value' | 'delete' | 'copy' | 'rename' | 'bytes', where: number, what: number];

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
  else if (kind === 'rename') {
    const name = ['__proto__', 'constructor', 'A B', '../x', ''][what % 5] ?? '';
    Object.defineProperty(parent, name, { value: Reflect.get(parent, key), enumerable: true, configurable: true });
  }
}

describe('any index, signed by a trusted key', () => {
  it('is accepted or refused with its reason, and nothing else happens', { timeout: 300_000 }, async (t) => {
    await using fixture = await createFeedFixture();
    const options: VerifyOptions = {
      keys: [fixture.key.public],
      seen: undefined,
      now: new Date('2026-06-01T00:00:00Z'),
      origin: 'test',
    };
    const outcomes = new Map<string, number>();
    const changes = fc.array(
      fc.tuple(
        fc.constantFrom('value', 'delete', 'copy', 'rename', 'bytes'),
        fc.nat({ max: 10_000 }),
        fc.nat({ max: 10_000 }),
      ),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(changes, (list) => {
        const document: object = structuredClone(makeIndex());
        for (const one of list) change(document, one);
        const bytes = Buffer.from(JSON.stringify(document));
        for (const [kind, where, what] of list) {
          if (kind === 'bytes') bytes.writeUInt8(what % 256, where % bytes.length);
        }
        const signature = signFile(bytes, fixture.key, { file: 'index.json', sequence: 1, now: new Date() });
        let outcome = 'accepted';
        try {
          const { index } = verifyIndex({ index: bytes, signature }, options);
          for (const { file } of index.bundles) assert.doesNotMatch(file, /^\.|[/\0]/);
        } catch (error) {
          assert.ok(error instanceof TreesError, String(error));
          assert.ok(CODES.has(error.code), error.code);
          assert.ok(error.message.length < 2000, `a message of ${error.message.length} characters`);
          outcome = error.code;
        }
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }),
      { numRuns: Number(process.env['TREES_FUZZ_RUNS'] ?? 600) },
    );
    t.diagnostic(JSON.stringify([...outcomes]));
    assert.ok((outcomes.get('accepted') ?? 0) > 0 && (outcomes.get('INDEX_INVALID') ?? 0) > 0);
  });
});
