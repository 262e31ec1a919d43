/** Memory of installing much. */
import { createCipheriv, createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Cache } from './cache.js';
import { openPlace, prepareQuickFeed } from './feeds.js';
import { type Command, runBeside, trees } from './programs.js';
import { atMost, bytes, type Family } from './table.js';

const TOTAL = 2e9;

export function memoryFamilies(cache: Cache): Family[] {
  return [
    {
      name: 'memory',
      summary: 'peak memory of installing a tree of 2 GB',
      minutes: 3,
      measure: async (tell) => {
        using place = await openPlace(cache.dir, await bigFeed(cache));
        const { sum, processes } = await peakOf(trees(place.newStore(), 'install', 'big'));
        tell({
          what: 'install 2 GB: peak memory of all processes',
          ours: bytes(sum),
          peer: `${processes} process${processes === 1 ? '' : 'es'}`,
          value: sum / 1e6,
          unit: ' MB',
          bar: atMost(200),
        });
      },
    },
  ];
}

/** Few large files, many small ones, half of it incompressible. */
async function bigFeed(cache: Cache): Promise<string> {
  return await prepareQuickFeed(cache, { app: 'big', of: `${TOTAL}`, fill: writeBigTree });
}

function writeBigTree(root: string): void {
  const write = (name: string, size: number): void => {
    const path = join(root, name);
    mkdirSync(join(path, '..'), { recursive: true });
    const fd = openSync(path, 'wx');
    try {
      const random = randomStream(name);
      for (let left = size; left > 0; ) {
        // Hexadecimal digits compress to half; every other file is such text.
        const block = random(Math.min(1 << 20, left));
        const text = name.endsWith('.txt') ? Buffer.from(block.toString('hex').slice(0, block.length)) : block;
        left -= writeSync(fd, text);
      }
    } finally {
      closeSync(fd);
    }
  };
  write('opt/huge.bin', 0.4 * TOTAL);
  const LARGE = 40;
  for (let index = 0; index < LARGE; index++) write(`opt/large/${index}${kind(index)}`, (0.45 * TOTAL) / LARGE);
  const SMALL = 10_000;
  for (let index = 0; index < SMALL; index++) {
    write(`opt/small/${index % 100}/${index}${kind(index)}`, (0.15 * TOTAL) / SMALL);
  }
}

const kind = (index: number): string => (index % 2 === 0 ? '.txt' : '.bin');

/** Bytes that look random and are the same for the same name. */
function randomStream(name: string): (size: number) => Buffer {
  const key = createHash('sha256').update(name).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return (size) => cipher.update(Buffer.alloc(size));
}

interface Peak {
  /** Resident bytes of the process and all its children at the worst moment. */
  readonly sum: number;
  /** How many there were at most. */
  readonly processes: number;
}

/**
 * Watches a command's processes: their resident sets added up, every few milliseconds, and what the kernel remembers
 * as the largest of each, so that no peak of a single process is missed.
 */
async function peakOf(command: Command): Promise<Peak> {
  let peak: Peak = { sum: 0, processes: 0 };
  let timer: NodeJS.Timeout | undefined;
  try {
    await runBeside(command, (pid) => {
      timer = setInterval(() => {
        peak = worse(peak, [...descendants(pid)].map(residentOf));
      }, 5);
    });
  } finally {
    clearInterval(timer);
  }
  return peak;
}

interface Resident {
  readonly now: number;
  readonly largest: number;
}

function worse(peak: Peak, found: readonly Resident[]): Peak {
  const sum = found.reduce((total, { now }) => total + now, 0);
  const largest = Math.max(0, ...found.map((one) => one.largest));
  return { sum: Math.max(peak.sum, sum, largest), processes: Math.max(peak.processes, found.length) };
}

function* descendants(pid: number): Generator<number> {
  yield pid;
  const children = read(`/proc/${pid}/task/${pid}/children`).trim();
  for (const child of children === '' ? [] : children.split(' ')) yield* descendants(Number(child));
}

function residentOf(pid: number): Resident {
  const status = read(`/proc/${pid}/status`);
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return { now: field('VmRSS'), largest: field('VmHWM') };
}

/** Empty when the process has ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
