/** Bytes and times of making bundles, against the stock tool's deltas between the same commits. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { TreeName } from './fixtures.js';
import { type Command, type Cost, measure, run, shell, trees } from './programs.js';
import { median, type Turn, takeTurns, turn } from './rounds.js';
import { atLeast, atMost, bytes, type Family, type Row, seconds } from './table.js';

/** Bars, all as ratios; what has none is only shown. */
interface Bars {
  readonly fast?: number;
  readonly small?: number;
  /** How many times faster than stock. */
  readonly faster?: number;
  /** Bytes of memory while making `fast`. */
  readonly peak?: number;
}

interface Pair {
  readonly name: string;
  readonly from?: TreeName;
  readonly to: TreeName;
  readonly minutes: number;
  readonly bars: Bars;
}

const PAIR: Bars = { faster: 3 };
const TREE: Bars = { faster: 1.8 };

const pairs: readonly Pair[] = [
  { name: 'base', to: 'base', minutes: 7, bars: { ...TREE, fast: 0.96, small: 0.91 } },
  { name: 'etcd', from: 'base', to: 'etcd', minutes: 2, bars: { ...TREE, fast: 1.05, small: 0.95 } },
  { name: 'web', from: 'base', to: 'web', minutes: 4, bars: { ...TREE, fast: 1, small: 0.91 } },
  { name: 'deb', to: 'deb', minutes: 3, bars: { ...TREE, fast: 0.96, small: 0.91 } },
  { name: 'deb-etcd', from: 'deb', to: 'deb-etcd', minutes: 2, bars: { ...TREE, fast: 1.05, small: 0.95 } },
  { name: 'deb-web', from: 'deb', to: 'deb-web', minutes: 4, bars: { ...TREE, fast: 1, small: 0.91 } },
  {
    name: 'node',
    from: 'node-old',
    to: 'node-new',
    minutes: 4,
    bars: { ...PAIR, fast: 0.12, small: 0.12, peak: 700e6 },
  },
  { name: 'esbuild', from: 'esbuild-old', to: 'esbuild-new', minutes: 1, bars: { ...PAIR, fast: 1.03, small: 0.9 } },
];

type Kind = 'stock' | 'fast' | 'small' | 'quick';
type Made = Cost & { readonly size: number };

/** What takes less is measured three times, and the median counts. */
const SHORT_SECONDS = 30;

/** @param repo of `prepareTrees` */
export function bundleFamilies(repo: string): Family[] {
  return pairs.map((pair) => ({
    name: pair.name,
    summary: `bytes and time of the bundle ${pair.from ?? 'nothing'} → ${pair.to}`,
    minutes: pair.minutes,
    measure: async (tell) => {
      for (const row of rowsOf(pair, await makeAll(repo, pair))) tell(row);
    },
  }));
}

/** The command that makes the bundle or the stock delta, with everything in one file. */
export function makeCommand(
  repo: string,
  { from, to }: Pick<Pair, 'from' | 'to'>,
  { kind, output }: { readonly kind: Kind; readonly output: string },
): Command {
  if (kind === 'stock') {
    const source = from === undefined ? '--empty' : `--from=${from}`;
    const delta = [source, `--to=${to}`, '--inline', '--min-fallback-size=0', `--filename=${output}`];
    return ['ostree', 'static-delta', 'generate', `--repo=${repo}`, ...delta];
  }
  const source = from === undefined ? [] : [`--from=${from}`];
  const options = kind === 'small' ? ['--encoding=small'] : kind === 'quick' ? ['--quick'] : [];
  const args = [`--repo=${repo}`, ...source, `--to=${to}`, `--output=${output}`, ...options];
  return trees('/', 'bundle', 'create', ...args);
}

async function makeAll(repo: string, pair: Pair): Promise<Record<Kind, Made>> {
  const work = mkdtempSync('/dev/shm/trees-bench-');
  const making = (kind: Kind): Turn<Made> =>
    turn(() => {
      const output = join(work, kind);
      const cost = measure(makeCommand(repo, pair, { kind, output }));
      return { ...cost, size: statSync(output).size };
    });
  try {
    // All objects into the page cache.
    run(shell('find "$1/objects" -type f -print0 | xargs -0 cat >/dev/null', repo));
    const turns = { quick: making('quick'), fast: making('fast'), stock: making('stock'), small: making('small') };
    const all = Object.values(turns);
    await takeTurns(all, { rounds: 1, warm: 0 });
    const isShort = all.every(({ samples }) => samples.every(({ seconds }) => seconds < SHORT_SECONDS));
    if (isShort) await takeTurns(all, { rounds: 2, warm: 0 });
    const { quick, fast, stock, small } = turns;
    return { quick: middle(quick), fast: middle(fast), stock: middle(stock), small: middle(small) };
  } finally {
    rmSync(work, { recursive: true });
  }
}

function middle({ samples }: Turn<Made>): Made {
  return {
    seconds: median(samples.map(({ seconds }) => seconds)),
    cpu: median(samples.map(({ cpu }) => cpu)),
    peak: Math.max(...samples.map(({ peak }) => peak)),
    // The same inputs give the same bytes; stock's differ by a few from run to run.
    size: median(samples.map(({ size }) => size)),
  };
}

const show = ({ seconds: wall, cpu }: Cost): string => `${seconds(wall)} (${seconds(cpu)} CPU)`;

function rowsOf({ name, bars }: Pair, { stock, fast, small, quick }: Record<Kind, Made>): Row[] {
  const size = (kind: string, ours: Made, bar: number | undefined): Row => ({
    what: `${name}: bytes, ${kind}`,
    ours: bytes(ours.size),
    peer: `${bytes(stock.size)} stock`,
    value: ours.size / stock.size,
    unit: ' ×',
    bar: bar === undefined ? undefined : atMost(bar),
  });
  const time = (kind: string, ours: Made, bar: number | undefined): Row => ({
    what: `${name}: times faster to make, ${kind}`,
    ours: show(ours),
    peer: `${show(stock)} stock`,
    value: stock.seconds / ours.seconds,
    unit: ' ×',
    bar: bar === undefined ? undefined : atLeast(bar),
  });
  return [
    size('fast', fast, bars.fast),
    size('small', small, bars.small),
    {
      what: `${name}: bytes, --quick to fast`,
      ours: bytes(quick.size),
      peer: `${bytes(fast.size)} fast`,
      value: quick.size / fast.size,
      unit: ' ×',
      bar: atMost(1.3),
    },
    time('fast', fast, bars.faster),
    time('small', small, bars.faster),
    time('--quick', quick, 15),
    {
      what: `${name}: peak memory of making it, fast`,
      ours: bytes(fast.peak),
      peer: `${bytes(stock.peak)} stock`,
      value: fast.peak / 1e6,
      unit: ' MB',
      bar: bars.peak === undefined ? undefined : atMost(bars.peak / 1e6),
    },
  ];
}
