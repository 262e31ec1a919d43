import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../support/rig.js';
import { type Family, formatRow, head, meets, type Row, updateReadme } from './delta/table.js';

/** Reads a benchmark's command line, `[ROW…] [--rounds N] [--list] [--update]`, and prints its table. */
export async function runTable(name: string, families: (rounds: number) => readonly Family[]): Promise<void> {
  const { values: flags, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '200' },
      list: { type: 'boolean', default: false },
      update: { type: 'boolean', default: false },
    },
  });
  const all = families(Number(flags.rounds));
  if (flags.list) {
    for (const { name, summary } of all) console.log(`${name.padEnd(12)} ${summary}`);
    return;
  }
  const chosen = positionals.length === 0 ? all : all.filter((family) => positionals.includes(family.name));
  const load = (): string => loadavg()[0]?.toFixed(1) ?? '?';
  process.stderr.write(`load ${load()}\n`);
  console.log(head);
  const rows: Row[] = [];
  for (const family of chosen) {
    await family.measure((row) => {
      rows.push(row);
      console.log(formatRow(row));
    });
  }
  const missed = rows.filter((row) => !meets(row)).length;
  process.stderr.write(`${rows.length} rows, ${missed} below their bar; load ${load()}\n`);
  if (flags.update) updateReadme(join(projectRoot, 'test/perf/README.md'), rows, name);
}
