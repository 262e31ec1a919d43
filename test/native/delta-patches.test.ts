/** Patches of large files: what stock ostree and trees make of what the encoder of sparse data wrote. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { applyBundle, createBundle } from '../../trees/delta/index.js';
import {
  assertSameCommit,
  commitTree,
  initRepo,
  noise,
  stockApply,
  temporaryDirectory,
} from '../support/delta-fixture.js';

const KIB = 1 << 10;
const MIB = 1 << 20;

/** `bytes` after `change` was called for places that are `gap` apart on average, in a fixed order. */
function changed(bytes: Buffer, gap: number, change: (copy: Buffer, at: number, n: number) => void): Buffer {
  const copy = Buffer.from(bytes);
  const distances = noise(4096, gap);
  for (let at = 7, n = 0; at < copy.length - 16; n++) {
    change(copy, at, n);
    at += 1 + Math.floor((gap * (distances[n % distances.length] ?? 0)) / 128);
  }
  return copy;
}

const flip = (copy: Buffer, at: number, n: number): void => {
  copy[at] = (copy[at] ?? 0) + 1 + (n % 255);
};

const DISTANCES = [0x40, 0x1230, 0x50_0010];

/** As a linker does that moves functions: addresses change by one of a few distances. */
const move = (copy: Buffer, at: number, n: number): void => {
  copy.writeUInt32LE((copy.readUInt32LE(at) + (DISTANCES[n % 3] ?? 0)) >>> 0, at);
};

const old = noise(3 * MIB, 1);
const cases: Readonly<Record<string, readonly [before: Buffer, after: Buffer]>> = {
  'addresses everywhere': [old, changed(old, 30, move)],
  'single bytes': [old, changed(old, 200, flip)],
  'single bytes far apart': [old, changed(old, 9000, flip)],
  'most of the bytes': [old, changed(old, 3, flip)],
  'a few bytes in a long file': [noise(9 * MIB, 2), changed(noise(9 * MIB, 2), 3 * MIB, flip)],
  'new content between': [
    old,
    Buffer.concat([
      old.subarray(0, MIB),
      noise(300 * KIB, 3),
      changed(old.subarray(MIB), 100, move),
      noise(70 * KIB, 4),
    ]),
  ],
  'stretches in another order': [
    old,
    Buffer.concat(
      [...Array(24).keys()].map((n) =>
        changed(old, 500, flip)
          .subarray(((n * 7) % 24) * 128 * KIB)
          .subarray(0, 128 * KIB),
      ),
    ),
  ],
};

async function assertArrives(t: TestContext, name: string, options: { encoding: 'fast' | 'small'; quick: boolean }) {
  const [before, after] = cases[name] ?? assert.fail(name);
  await assertChangeArrives(t, name, { ...options, before, after });
}

interface Change {
  readonly encoding: 'fast' | 'small';
  readonly quick: boolean;
  readonly before: Buffer;
  readonly after: Buffer;
}

async function assertChangeArrives(t: TestContext, name: string, { before, after, ...options }: Change) {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  const from = commitTree(repo, 'v1', { 'usr/bin/program': { content: before } });
  const to = commitTree(repo, 'v2', { 'usr/bin/program': { content: after } });
  const [base, bundle] = [join(directory, 'base'), join(directory, 'bundle')];
  await createBundle({ repoPath: repo, to: from, output: base, quick: true });
  const { size } = await createBundle({ repoPath: repo, from, to, output: bundle, ...options });
  assert.ok(size < after.length, `${name} takes ${size} bytes`);
  const [mine, stock] = [initRepo(join(directory, 'mine')), initRepo(join(directory, 'stock'))];
  for (const path of [base, bundle]) {
    await applyBundle({ repoPath: mine, path, ref: 'app' });
    stockApply(path, stock);
  }
  for (const copy of [mine, stock]) assertSameCommit(copy, repo, to);
}

for (const options of [
  { encoding: 'fast', quick: false },
  { encoding: 'fast', quick: true },
  { encoding: 'small', quick: false },
] as const) {
  for (const name of Object.keys(cases)) {
    test(`${options.encoding}${options.quick ? ', quick' : ''}: ${name}`, (t) => assertArrives(t, name, options));
  }
}

test('fast, quick: what is too long for liblzma to be the quicker one', async (t) => {
  const before = noise(33 * MIB, 8);
  const after = changed(changed(before, 400, move), 5000, flip);
  await assertChangeArrives(t, 'a long program', { encoding: 'fast', quick: true, before, after });
});

const SNIPPETS = 400;
const FUNCTION = 200;

/**
 * Code as compilers make it: few different instructions, each followed by how far away something else is; with
 * `grown`, every other function is a few instructions longer.
 */
function program(instructions: number, grown: boolean): Buffer {
  const [bytes, choices] = [noise(SNIPPETS * 24, 5), noise(instructions * 8, 6)];
  const growth = (n: number): number => (grown ? Math.floor(n / FUNCTION / 2) * 3 : 0);
  const pieces: Buffer[] = [];
  const add = (n: number, distance: number): void => {
    const snippet = choices.readUInt16LE(n * 8) % SNIPPETS;
    const address = Buffer.alloc(4);
    address.writeInt32LE(distance * 16);
    pieces.push(bytes.subarray(snippet * 24, snippet * 24 + 3 + (snippet % 17)), address);
  };
  for (let n = 0; n < instructions; n++) {
    const more = growth(n) - growth(Math.max(0, n - 1));
    for (let i = more; i > 0; i--) add((n * 7 + i) % instructions, i);
    const target = choices.readUInt32LE(n * 8 + 2) % instructions;
    add(n, target + growth(target) - n - growth(n));
  }
  return Buffer.concat(pieces);
}

test('code is compared with where it was, not with whatever else begins alike', async (t) => {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  const from = commitTree(repo, 'v1', { program: { content: program(100_000, false) } });
  const to = commitTree(repo, 'v2', { program: { content: program(100_000, true) } });
  for (const [options, most] of [
    [{ encoding: 'small' }, 222_000],
    [{ encoding: 'fast' }, 225_000],
    [{ quick: true }, 276_000],
  ] as const) {
    const { size } = await createBundle({ repoPath: repo, from, to, output: join(directory, 'bundle'), ...options });
    assert.ok(size <= most, `${JSON.stringify(options)}: ${size} bytes`);
  }
});
