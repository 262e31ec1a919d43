/** Programs go into bundles taken apart at their sections, which are filtered: they must arrive whole all the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { applyBundle, createBundle } from '../../trees/delta/index.js';
import {
  assertSameCommit,
  commitTree,
  initRepo,
  noise,
  stockApply,
  type TreeSpec,
  temporaryDirectory,
} from '../support/delta-fixture.js';

const HEADER = 64;
const SECTION = 64;
const [PROGBITS, STRTAB, RELA] = [1, 3, 4];
const EXECUTABLE = 4n;
const X86_64 = 62;
const AARCH64 = 183;

interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags?: bigint;
  readonly content: Buffer;
}

/** A 64-bit ELF file that consists of `sections`. `lie` changes its section headers. */
function elf(sections: readonly Section[], machine: number, lie?: (headers: Buffer) => void): Buffer {
  const names = Buffer.from(['', ...sections.map(({ name }) => name), '.shstrtab', ''].join('\0'));
  const all: Section[] = [
    { name: '', type: 0, content: Buffer.alloc(0) },
    ...sections,
    { name: '.shstrtab', type: STRTAB, content: names },
  ];
  const headers = Buffer.alloc(all.length * SECTION);
  let offset = HEADER;
  all.forEach(({ name, type, flags = 0n, content }, i) => {
    headers.writeUInt32LE(name === '' ? 0 : names.indexOf(`\0${name}\0`) + 1, i * SECTION);
    headers.writeUInt32LE(type, i * SECTION + 4);
    headers.writeBigUInt64LE(flags, i * SECTION + 8);
    headers.writeBigUInt64LE(BigInt(offset), i * SECTION + 24);
    headers.writeBigUInt64LE(BigInt(content.length), i * SECTION + 32);
    offset += content.length;
  });
  const header = Buffer.alloc(HEADER);
  header.write('\x7fELF\x02\x01\x01', 'latin1');
  header.writeUInt16LE(machine, 18);
  header.writeBigUInt64LE(BigInt(offset), 40);
  header.writeUInt16LE(SECTION, 58);
  header.writeUInt16LE(all.length, 60);
  header.writeUInt16LE(all.length - 1, 62);
  lie?.(headers);
  return Buffer.concat([header, ...all.map(({ content }) => content), headers]);
}

/** Calls of 64 functions from everywhere: alike only when their targets are absolute. */
function calls(count: number): Buffer {
  const code = Buffer.alloc(count * 8, 0x90);
  const choice = noise(count, 7);
  for (let i = 0; i < count; i++) {
    code[i * 8] = 0xe8;
    code.writeInt32LE((choice.readUInt8(i) & 63) * 4096 - (i * 8 + 5), i * 8 + 1);
  }
  return code;
}

function relocations(count: number): Buffer {
  const table = Buffer.alloc(count * 24);
  for (let i = 0; i < count; i++) {
    table.writeUInt32LE(0x200000 + i * 8, i * 24);
    table.writeUInt32LE(8, i * 24 + 8);
    table.writeUInt32LE(0x100000 + i * 48, i * 24 + 16);
  }
  return table;
}

/** A table of Go, whose header may lie about how many functions there are. */
function goTable(functions: number, claimed: bigint): Buffer {
  const header = Buffer.alloc(72);
  header.writeUInt32LE(0xfffffff1);
  header[6] = 1;
  header[7] = 8;
  const index = 72 + 4000 + 8000;
  [claimed, 1n, 0x401000n, 72n, 72n, 72n, 72n + 4000n, BigInt(index)].forEach((value, i) => {
    header.writeBigUInt64LE(value, 8 + i * 8);
  });
  const pairs = Buffer.alloc(functions * 8);
  for (let i = 0; i < functions; i++) pairs.writeUInt32LE(i * 96, i * 8);
  return Buffer.concat([header, Buffer.alloc(4000, 'main.go'), noise(8000, 3), pairs, noise(9000, 4)]);
}

const text = { name: '.text', type: PROGBITS, flags: EXECUTABLE, content: calls(40_000) };
const rela = { name: '.rela.dyn', type: RELA, content: relocations(20_000) };
const rodata = { name: '.rodata', type: PROGBITS, content: noise(50_000, 5) };
const go = { name: '.gopclntab', type: PROGBITS, content: goTable(2000, 2000n) };
const sections = [text, rela, rodata, go];

const field = (section: number, at: number) => section * SECTION + at;
const [OFFSET, SIZE, NAME] = [24, 32, 0];

/** Programs as they are and as they should not be. */
function programs(): TreeSpec {
  const real = ['/bin/bash', '/bin/ls', process.arch === 'x64' ? '/lib/x86_64-linux-gnu/libc.so.6' : '/bin/cat'];
  const lies: Record<string, (headers: Buffer) => void> = {
    offset: (headers) => headers.writeBigUInt64LE(1n << 40n, field(1, OFFSET)),
    size: (headers) => headers.writeBigUInt64LE((1n << 64n) - 1n, field(2, SIZE)),
    overflow: (headers) => {
      headers.writeBigUInt64LE((1n << 64n) - 8n, field(2, OFFSET));
      headers.writeBigUInt64LE(64n, field(2, SIZE));
    },
    overlapping: (headers) => headers.writeBigUInt64LE(100n, field(2, OFFSET)),
    name: (headers) => headers.writeUInt32LE(0xffffffff, field(3, NAME)),
    names: (headers) => headers.writeBigUInt64LE(1n << 63n, field(5, OFFSET)),
    nothing: (headers) => headers.fill(0),
  };
  const whole = elf(sections, X86_64);
  const files: [string, Buffer][] = [
    ...real.map((path): [string, Buffer] => [path.slice(1), readFileSync(path)]),
    ...Object.entries(lies).map(([name, lie]): [string, Buffer] => [`lies/${name}`, elf(sections, X86_64, lie)]),
    ['whole', whole],
    ['other-machine', elf(sections, AARCH64)],
    ['cut', whole.subarray(0, -SECTION)],
    ['header-only', whole.subarray(0, HEADER)],
    ['short', whole.subarray(0, 30)],
    ['go-many', elf([text, { ...go, content: goTable(10, 1n << 60n) }], X86_64)],
    ['go-short', elf([text, { ...go, content: goTable(10, 10n).subarray(0, 40) }], X86_64)],
  ];
  return Object.fromEntries(files.map(([path, content]) => [path, { content, mode: 0o755 }]));
}

async function assertArrives(t: TestContext, tree: TreeSpec, options: { quick?: boolean; small?: boolean }) {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  const to = commitTree(repo, 'v1', tree);
  const output = join(directory, 'bundle');
  const encoding = options.small ? 'small' : 'fast';
  const made = await createBundle({ repoPath: repo, to, output, encoding, quick: options.quick === true });
  const again = `${output}-again`;
  const rest = { encoding, quick: options.quick === true, threads: 1 } as const;
  assert.equal((await createBundle({ repoPath: repo, to, output: again, ...rest })).sha256, made.sha256);
  const mine = initRepo(join(directory, 'mine'));
  const stock = initRepo(join(directory, 'stock'));
  await applyBundle({ repoPath: mine, path: output, ref: 'app' });
  stockApply(output, stock);
  for (const copy of [mine, stock]) assertSameCommit(copy, repo, to);
  // The seek table ends with the number of frames, a byte and its magic number.
  return { ...made, frames: readFileSync(output).readUInt32LE(made.size - 9) };
}

for (const options of [{}, { quick: true }, { small: true }]) {
  const name = Object.keys(options)[0] ?? 'fast';
  test(`${name}: programs arrive whole, whatever their headers say`, async (t) => {
    await assertArrives(t, programs(), options);
  });
}

test('calls and relocations are filtered', async (t) => {
  const plain = Buffer.concat([text.content, rela.content, rodata.content]);
  const made = await assertArrives(t, { program: { content: elf([text, rela, rodata], X86_64) } }, {});
  const raw = await assertArrives(t, { data: { content: plain } }, {});
  // What does not compress at all is half of it.
  assert.ok(made.size < raw.size * 0.7, `${made.size} bytes, and unfiltered ${raw.size}`);
});

test('a program that is too large for filtering in memory arrives whole', async (t) => {
  const large = elf([{ ...text, content: calls(5_300_000) }, rodata], X86_64);
  await assertArrives(t, { large: { content: large } }, { quick: true });
});

test('kinds of content get frames of their own, so that all cores have work', async (t) => {
  const large = elf(
    [
      { ...text, content: calls(200_000) },
      { ...rela, content: relocations(80_000) },
    ],
    X86_64,
  );
  const made = await assertArrives(t, { large: { content: large } }, {});
  // One for each part but the last, which shares the tail's, and one more for the second kind.
  assert.equal(made.frames, made.parts + 1);
});
