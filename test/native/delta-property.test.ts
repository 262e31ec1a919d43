import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { applyBundle, bundleInfo, createBundle } from '../../trees/delta/index.js';
import {
  assertSameCommit,
  commitTree,
  type Entry,
  initRepo,
  noise,
  stockApply,
  type TreeSpec,
  temporaryDirectory,
} from '../support/delta-fixture.js';

const hostileNames = [
  'with space',
  'new\nline',
  '-rf',
  '"quoted\'$(id)`',
  'ünïcødé-文件',
  '.wh.gone',
  '.wh..wh..opq',
  '...',
  'a'.repeat(255),
  'back\\slash',
  '\u001b[31mred',
  '*',
  'libx.so.1.2.3',
  '#',
];
const plainNames = ['a', 'b', 'lib.so.1', 'lib.so.2', 'x.py', 'README', 'bin', 'etc', 'usr'];

const name = fc.oneof(fc.constantFrom(...plainNames), fc.constantFrom(...hostileNames));
const directory = fc.array(fc.constantFrom('usr', 'lib', 'share', 'odd name', 'd1', 'd2'), { maxLength: 3 });
const mode = fc.constantFrom(0o644, 0o600, 0o755, 0o4755, 0o2711, 0o400, 0o666);

/** Contents from a few seeds, so that files of both trees resemble one another; sizes around the encoder's limits. */
const content = fc.record({
  seed: fc.integer({ min: 1, max: 6 }),
  size: fc.constantFrom(0, 1, 7, 127, 128, 129, 4096, 65_537, 300_000),
  text: fc.boolean(),
  edits: fc.array(fc.record({ at: fc.nat(300_000), insert: fc.string({ maxLength: 40 }), remove: fc.nat(50) }), {
    maxLength: 4,
  }),
  suffix: fc.constant(''),
});

interface Recipe {
  readonly seed: number;
  readonly size: number;
  readonly text: boolean;
  readonly edits: ReadonlyArray<{ readonly at: number; readonly insert: string; readonly remove: number }>;
  readonly suffix: string;
}

type Planned = Omit<Entry, 'content'> & { readonly recipe?: Recipe };
type PlannedTree = Readonly<Record<string, Planned>>;

function cook({ seed, size, text, edits, suffix }: Recipe): Buffer {
  let bytes = text ? Buffer.alloc(size, `line ${seed} of some text\n`) : noise(size, seed);
  for (const { at, insert, remove } of edits) {
    const position = bytes.length === 0 ? 0 : at % bytes.length;
    bytes = Buffer.concat([bytes.subarray(0, position), Buffer.from(insert), bytes.subarray(position + remove)]);
  }
  return Buffer.concat([bytes, Buffer.from(suffix)]);
}

function materialise(tree: PlannedTree): TreeSpec {
  return Object.fromEntries(
    Object.entries(tree).map(([path, { recipe, ...rest }]) => [
      path,
      recipe === undefined ? rest : { ...rest, content: cook(recipe) },
    ]),
  );
}

const xattrs = fc.option(
  fc.dictionary(fc.constantFrom('user.a', 'user.b'), fc.constantFrom('1', 'two', ''), { maxKeys: 2 }),
  { nil: undefined },
);
const regular = fc
  .record({ recipe: content, mode, xattrs })
  .map(({ recipe, mode, xattrs }): Planned => ({ recipe, mode, ...(xattrs === undefined ? {} : { xattrs }) }));
const symlink = fc
  .constantFrom('target', '../../../etc/passwd', '/abs/olute', 'x'.repeat(100), 'lib.so.1')
  .map((target): Planned => ({ target }));
const entry = fc.oneof({ weight: 4, arbitrary: regular }, { weight: 1, arbitrary: symlink });

const tree = fc
  .array(fc.tuple(directory, name, entry), { minLength: 1, maxLength: 14 })
  .map((items) => consistent(items.map(([parents, last, value]) => [[...parents, last].join('/'), value])));

/** Drops entries whose path runs through a file. */
function consistent(items: ReadonlyArray<readonly [string, Planned]>): PlannedTree {
  const spec = new Map<string, Planned>();
  for (const [path, value] of items) {
    const clash = [...spec.keys()].some((other) => other.startsWith(`${path}/`) || path.startsWith(`${other}/`));
    if (!clash) spec.set(path, value);
  }
  return Object.fromEntries(spec);
}

/** The second tree: parts of the first with changed modes, contents and names, and something new. */
const change = fc.constantFrom('keep', 'remove', 'mode', 'append', 'rename', 'touch-xattr');
const pair = fc.record({ first: tree, added: tree, changes: fc.array(change, { minLength: 14, maxLength: 14 }) });

function changed(first: PlannedTree, changes: readonly string[], added: PlannedTree): PlannedTree {
  const items: Array<readonly [string, Planned]> = [];
  for (const [index, [path, value]] of Object.entries(first).entries()) {
    const kind = changes[index] ?? 'keep';
    if (kind === 'remove') continue;
    if (kind === 'keep' || value.target !== undefined) items.push([path, value]);
    else if (kind === 'mode') items.push([path, { ...value, mode: 0o640 }]);
    else if (kind === 'append') {
      if (value.recipe !== undefined) items.push([path, { ...value, recipe: { ...value.recipe, suffix: 'more' } }]);
    } else if (kind === 'rename') items.push([`moved/${index}`, value]);
    else items.push([path, { ...value, xattrs: { 'user.c': 'changed' } }]);
  }
  return consistent([...items, ...Object.entries(added)]);
}

test('any tree, and any change of it, arrives as it was', async (t) => {
  const top = temporaryDirectory(t);
  await fc.assert(
    fc.asyncProperty(pair, fc.constantFrom('fast', 'small'), fc.boolean(), async (trees, encoding, quick) => {
      const work = mkdtempSync(join(top, 'run-'));
      const repo = initRepo(join(work, 'repo'));
      const v1 = commitTree(repo, 'v1', materialise(trees.first));
      const v2 = commitTree(repo, 'v2', materialise(changed(trees.first, trees.changes, trees.added)));
      const complete = join(work, 'complete');
      const update = join(work, 'update');
      await createBundle({ repoPath: repo, to: v1, output: complete, encoding, quick });
      await createBundle({ repoPath: repo, from: v1, to: v2, output: update, encoding, quick });
      assert.equal((await bundleInfo(update)).from, v1);

      const stock = initRepo(join(work, 'stock'));
      const mine = initRepo(join(work, 'mine'), quick ? 'bare' : 'bare-user');
      for (const [path, commit] of [
        [complete, v1],
        [update, v2],
      ] as const) {
        stockApply(path, stock);
        await applyBundle({ repoPath: mine, path, ref: `c/${commit}` });
      }
      for (const copy of [stock, mine]) {
        assertSameCommit(copy, repo, v1);
        assertSameCommit(copy, repo, v2);
      }
      rmSync(work, { recursive: true, force: true });
    }),
    { numRuns: Number(process.env['TREES_TEST_RUNS'] ?? 15), endOnFailure: true, includeErrorInReport: true },
  );
});
