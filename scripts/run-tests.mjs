// Runs test files, those that take longest first: run-tests.mjs FILE…
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What takes longest, longest first: begun last, one of them alone would keep everybody waiting at the end. */
const longest = [
  'test/e2e/fault-kill-call.test.ts',
  'test/e2e/debian.test.ts',
  'test/e2e/fault-kill.test.ts',
  'test/native/delta-fuzz.test.ts',
  'test/e2e/fault-space.test.ts',
  'test/native/asan.test.ts',
  'test/e2e/github-release.test.ts',
  'test/e2e/fault-disk.test.ts',
  'test/e2e/fsck-parts.test.ts',
  'test/e2e/journey.test.ts',
  'test/e2e/github-kill.test.ts',
];
const unknown = longest.filter((file) => !existsSync(join(root, file)));
if (unknown.length > 0) throw new Error(`no such test: ${unknown.join(', ')}`);

const wanted = process.argv.slice(2).sort();
const files = [...longest.filter((file) => wanted.includes(file)), ...wanted.filter((file) => !longest.includes(file))];

// One more than there are processors: many tests wait for the time to pass or for the disk.
const tests = run({ files, concurrency: availableParallelism() + 1 });
tests.on('test:fail', ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1;
});
tests.compose(new spec()).pipe(process.stdout);
