// The bars of launching: how long containers take from launch to exit, against bubblewrap, crun and Node, in one table.
//   ./scripts/bench launch [ROW…] [--rounds N] [--list] [--update]
//   --update   also write the measured rows to the table in test/perf/README.md
// Needs root and the programs of scripts/setup-debian. All rows take about 3 minutes on an idle machine.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launchFamilies } from './launch/families.js';
import { runTable } from './table-runner.js';

const directory = mkdtempSync(join(tmpdir(), 'trees-bench-'));
try {
  await runTable('launch', (rounds) => launchFamilies(directory, rounds));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
