/** Trees that differ in a few bytes: where a delta is mostly its own ceremony. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ostree, run } from './programs.js';

/** What to change in the tree of a ref. */
interface Edit {
  readonly repo: string;
  readonly from: string;
  /** Ref of the result. */
  readonly to: string;
  /** Program in which bytes are changed. */
  readonly program: string;
  /** Which bytes; negative counts from its end. */
  readonly at: readonly number[];
  /** Number of small text files that get one more line. */
  readonly texts: number;
  readonly work: string;
}

/** Commits the tree with the changes; owners, modes and everything else stay. @throws Error when there are too few text files */
export function commitEdited({ repo, from, to, program, at, texts, work }: Edit): void {
  rmSync(work, { recursive: true, force: true });
  const tree = join(work, 'tree');
  const changes = join(work, 'changes');
  mkdirSync(changes, { recursive: true });
  ostree('checkout', `--repo=${repo}`, '-H', from, tree);
  for (const path of [program, ...pickTexts(tree, texts)]) {
    const target = join(changes, path);
    // Parents with the owner and mode that they have in the tree.
    run(['cp', '--archive', '--parents', path, changes], { cwd: tree });
    const bytes = readFileSync(target);
    writeFileSync(target, path === program ? flip(bytes, at) : addLine(bytes, path));
  }
  ostree(
    'commit',
    `--repo=${repo}`,
    `--branch=${to}`,
    `--tree=ref=${from}`,
    `--tree=dir=${changes}`,
    '--timestamp=2025-01-01T00:00:00Z',
  );
  rmSync(work, { recursive: true });
}

function flip(bytes: Buffer, at: readonly number[]): Buffer {
  for (const offset of at) {
    const position = offset < 0 ? bytes.length + offset : offset;
    bytes.writeUInt8(bytes.readUInt8(position) ^ 0x55, position);
  }
  return bytes;
}

function addLine(bytes: Buffer, path: string): Buffer {
  const middle = bytes.indexOf('\n', Math.floor(bytes.length / 2)) + 1;
  const line = Buffer.from(`# changed: ${dirname(path)}\n`);
  return Buffer.concat([bytes.subarray(0, middle), line, bytes.subarray(middle)]);
}

/** Text files from everywhere in the tree, always the same ones. */
function pickTexts(tree: string, count: number): string[] {
  const list = run(['find', '.', '-type', 'f', '-size', '+1k', '-size', '-20k', '-print0'], { cwd: tree });
  const texts = list
    .split('\0')
    .filter((path) => path !== '' && isText(join(tree, path)))
    .map((path) => path.slice(2))
    .sort();
  if (texts.length < count) throw new Error(`Expected ${count} text files in ${tree}, got ${texts.length}`);
  return Array.from({ length: count }, (_, index) => texts[Math.floor((index * texts.length) / count)] ?? '');
}

function isText(path: string): boolean {
  const bytes = readFileSync(path);
  return !bytes.includes(0) && bytes.includes(10);
}
