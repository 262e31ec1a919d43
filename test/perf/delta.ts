// The bars of bundles and the store: bytes, times and memory against the stock tools, in one table.
//   ./scripts/bench delta [ROW…]                measures; all rows, or those named
//   ./scripts/bench delta TREE | OLDTREE NEWTREE  compares bundles of your own trees (directories; write ./x, not x)
//   --list          the rows and how long each takes on an idle machine with two cores
//   --quick-rows    only rows that take less than 3 minutes
//   --fresh         prepare the trees anew; they are kept in $TMPDIR/trees-bench or /var/tmp/trees-bench
//   --keep-feeds    take the feeds to install from that an older encoder made
//   --update        also write the measured rows to the table in test/perf/README.md
// Needs root, tmpfs on /dev/shm with 3 GB, a Debian mirror and an npm registry for preparing (10 minutes, 4 GB), and the
// programs of scripts/setup-debian. All rows take about 40 minutes. The exit status is 0 even if a bar was missed.
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../support/rig.js';
import { bundleFamilies } from './delta/bundles.js';
import { openCache } from './delta/cache.js';
import { compareTrees } from './delta/compare.js';
import { downloadFamilies } from './delta/download.js';
import { editFamilies } from './delta/edits.js';
import { prepareTrees } from './delta/fixtures.js';
import { installFamilies } from './delta/install.js';
import { installedFamilies } from './delta/installed.js';
import { memoryFamilies } from './delta/memory.js';
import { scalingFamilies } from './delta/scaling.js';
import { type Family, formatRow, head, meets, type Row, updateReadme } from './delta/table.js';

const QUICK_MINUTES = 3;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    list: { type: 'boolean', default: false },
    'quick-rows': { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    'keep-feeds': { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
  },
});

const cache = openCache({ fresh: flags.fresh, keep: flags['keep-feeds'] });
const repo = cache.path('repo');
const families: readonly Family[] = [
  ...bundleFamilies(repo),
  ...editFamilies(repo),
  ...scalingFamilies(repo),
  ...installFamilies(cache, repo),
  ...downloadFamilies(cache),
  ...installedFamilies(cache, repo),
  ...memoryFamilies(cache),
];

const [first, second] = positionals;
if (flags.list) {
  for (const { name, summary, minutes } of families)
    console.log(`${name.padEnd(14)} ${`${minutes}`.padStart(2)} min  ${summary}`);
} else if (first?.includes('/') === true) {
  await compareTrees(first, second);
} else {
  await measureAll(choose(positionals));
}

function choose(names: readonly string[]): readonly Family[] {
  for (const name of names) {
    if (families.some((family) => family.name === name)) continue;
    throw new Error(`Expected a row or a directory with a slash in it, got ${name}; --list shows the rows`);
  }
  const named = names.length === 0 ? families : families.filter(({ name }) => names.includes(name));
  return flags['quick-rows'] ? named.filter(({ minutes }) => minutes < QUICK_MINUTES) : named;
}

async function measureAll(chosen: readonly Family[]): Promise<void> {
  await prepareTrees(cache);
  const minutes = chosen.reduce((sum, family) => sum + family.minutes, 0);
  process.stderr.write(`about ${minutes} minutes on an idle machine; load now ${loadavg()[0]?.toFixed(1) ?? '?'}\n`);
  console.log(head);
  const rows: Row[] = [];
  const failures: string[] = [];
  for (const family of chosen) {
    process.stderr.write(`measuring ${family.name}\n`);
    try {
      await family.measure((row) => {
        rows.push(row);
        console.log(formatRow(row));
      });
    } catch (error) {
      failures.push(`${family.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const missed = rows.filter((row) => !meets(row));
  const bars = rows.filter(({ bar }) => bar !== undefined).length;
  console.log(`\n${bars - missed.length} of ${bars} bars met; load at the end ${loadavg()[0]?.toFixed(1) ?? '?'}`);
  for (const { what } of missed) console.log(`missed: ${what}`);
  for (const failure of failures) console.log(`could not be measured: ${failure}`);
  if (flags.update) updateReadme(join(projectRoot, 'test/perf/README.md'), rows);
  // A miss is a result; a row that could not be measured is an error.
  if (failures.length > 0) process.exitCode = 1;
}
