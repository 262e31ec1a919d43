// The bars of the init: what it costs to be process 1, to look after services, and to keep their output.
//   ./scripts/bench init [ROW…] [--rounds N] [--list] [--update]
//   --update   also write the measured rows to the table in test/perf/README.md
// Needs root, 2 GB on /dev/shm and the programs of scripts/setup-debian. All rows take about a minute.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { initFamilies } from './init/families.js';
import { runTable } from './table-runner.js';

const directory = mkdtempSync(join(tmpdir(), 'trees-bench-'));
try {
  await runTable('init', (rounds) => initFamilies(directory, rounds));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
