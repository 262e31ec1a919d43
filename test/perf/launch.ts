// The bars of launching: how long containers take from launch to exit, against bubblewrap, crun and Node, in one table.
//   ./scripts/bench launch [ROW…] [--rounds N] [--list] [--update]
//   --update   also write the measured rows to the table in test/perf/README.md
// Needs root and the programs of scripts/setup-debian. All rows take about 3 minutes on an idle machine.
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../support/rig.js';
import { type Family, formatRow, head, meets, type Row, updateReadme } from './delta/table.js';
import { launchFamilies } from './launch/families.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '200' },
    list: { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
  },
});
const directory = mkdtempSync(join(tmpdir(), 'trees-bench-'));
try {
  const families: readonly Family[] = launchFamilies(directory, Number(flags.rounds));
  if (flags.list) {
    for (const { name, summary } of families) console.log(`${name.padEnd(12)} ${summary}`);
  } else {
    await measure(positionals.length === 0 ? families : families.filter(({ name }) => positionals.includes(name)));
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function measure(chosen: readonly Family[]): Promise<void> {
  process.stderr.write(`load ${loadavg()[0]?.toFixed(1) ?? '?'}\n`);
  console.log(head);
  const rows: Row[] = [];
  for (const family of chosen) {
    await family.measure((row) => {
      rows.push(row);
      console.log(formatRow(row));
    });
  }
  const missed = rows.filter((row) => !meets(row)).length;
  process.stderr.write(`${rows.length} rows, ${missed} below their bar; load ${loadavg()[0]?.toFixed(1) ?? '?'}\n`);
  if (flags.update) updateReadme(join(projectRoot, 'test/perf/README.md'), rows, 'launch');
}
