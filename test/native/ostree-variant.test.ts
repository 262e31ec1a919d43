import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Metadata, Repo, variant } from '../../trees/ostree/index.js';
import { ostree, Scratch, seededRepo } from '../support/ostree.js';

test('every kind of value makes the round trip, and the CLI reads it', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  const { rootTree, rootMeta } = await repo.readCommit(commit);
  const metadata: Metadata = {
    string: variant('s', 'ä€😀'),
    true: variant('b', true),
    byte: variant('y', 255),
    int16: variant('n', -32_768),
    uint16: variant('q', 65_535),
    int32: variant('i', -2_147_483_648),
    uint32: variant('u', 4_294_967_295),
    int64: variant('x', -(2n ** 63n)),
    uint64: variant('t', 2n ** 64n - 1n),
    double: variant('d', 0.1),
    bytes: variant('ay', Uint8Array.of(0, 1, 255)),
    none: variant('ay', new Uint8Array()),
    strings: variant('as', ['a', '']),
    empty: variant('aas', []),
    nested: variant('a{sv}', { a: variant('v', variant('s', 'deep')), b: variant('a{sv}', {}) }),
    tuple: variant('(sua(yb))', ['x', 1, [[1, true]]]),
    unit: variant('()', []),
    dictionary: variant('a{ss}', [
      ['k', 'v'],
      ['l', 'w'],
    ]),
    entry: variant('{su}', ['k', 9]),
    maybe: variant('ms', 'there'),
    nothing: variant('ms', undefined),
    path: variant('o', '/a/b_1'),
    signature: variant('g', 'a{sv}(ii)'),
    handle: variant('h', 3),
    ['__proto__']: variant('s', 'only a key'),
  };
  const checksum = await repo.writeCommit({ rootTree, rootMeta, timestamp: 1, metadata });
  const read = (await repo.readCommit(checksum)).metadata;
  assert.deepEqual(Object.keys(read).sort(), Object.keys(metadata).sort());
  for (const [key, value] of Object.entries(metadata))
    assert.deepEqual(Object.getOwnPropertyDescriptor(read, key)?.value, value, key);
  assert.equal(Object.getPrototypeOf(read), Object.prototype);
  await repo.setRef('types', checksum);
  // The CLI swaps the bytes of every number it prints, so only those that read the same both ways are compared.
  const printed: Record<string, string> = {
    string: "'ä€😀'",
    uint64: 'uint64 18446744073709551615',
    dictionary: "{'k': 'v', 'l': 'w'}",
    nothing: '@ms nothing',
    nested: "{'a': <<'deep'>>, 'b': <@a{sv} {}>}",
  };
  for (const [key, text] of Object.entries(printed)) {
    assert.equal(ostree(path, 'show', `--print-metadata-key=${key}`, 'types').trim(), text, key);
  }
});

test('arbitrary metadata makes the round trip', async () => {
  using scratch = new Scratch();
  const { repo, commit } = await seededRepo(scratch);
  using _ = repo;
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0') && value.isWellFormed());
  const leaf = fc.oneof(
    text.map((value) => variant('s', value)),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => variant('t', value)),
    fc.uint8Array().map((value) => variant('ay', value)),
    fc.array(text).map((value) => variant('as', value)),
    fc.double().map((value) => variant('d', value)),
    fc.tuple(text, fc.boolean()).map((value) => variant('(sb)', value)),
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(text, leaf, { maxKeys: 8 }), async (metadata) => {
      const plain: Metadata = Object.fromEntries(Object.entries(metadata));
      await repo.writeDetachedMetadata(commit, plain);
      assert.deepEqual((await repo.readDetachedMetadata(commit)) ?? {}, plain);
    }),
    { numRuns: 60 },
  );
  assert.ok(repo instanceof Repo);
});
