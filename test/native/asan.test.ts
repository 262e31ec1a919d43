/** Tests of the addons once more with the sanitizer build (scripts/build-native.mjs --debug). */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot, Scratch } from '../support/ostree.js';

const missing = ['delta', 'ostree', 'store', 'system']
  .map((name) => join(projectRoot, 'build', 'Debug', `${name}.node`))
  .filter((addon) => !existsSync(addon));
const skip = missing.length > 0 && `needs ${missing.join(', ')}: node scripts/build-native.mjs --debug`;
const files = [
  'ostree-arguments',
  'ostree-repo',
  'ostree-refs',
  'ostree-objects',
  'ostree-variant',
  'ostree-commit',
  'ostree-checkout',
  'ostree-walk',
  'ostree-delta',
  'ostree-mutable-tree',
  'ostree-maintenance',
  'ostree-environment',
  'delta-roundtrip',
  'delta-property',
  'delta-arriving',
  'install-arriving',
  'checkout-hostile',
  'checkout-into',
  'compose-model',
];

/** Output and exit status of one test file under the sanitizers. */
async function sanitized(file: string, reports: string): Promise<{ status: number | string; output: string }> {
  const libasan = execFileSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    TREES_NATIVE: 'Debug',
    LD_PRELOAD: libasan,
    // Node never frees much of what it allocates, and nearly every stack has a frame of Node: leaks have a test of
    // their own. Reports go to files, so that children's are seen too.
    ASAN_OPTIONS: `detect_leaks=0:abort_on_error=1:log_path=${reports}/asan`,
    UBSAN_OPTIONS: `print_stacktrace=1:halt_on_error=1:log_path=${reports}/ubsan`,
    // Every commit would flush the whole file system.
    OSTREE_SUPPRESS_SYNCFS: '1',
    // GLib's own allocator would hide overruns.
    G_SLICE: 'always-malloc',
  };
  delete env['NODE_TEST_CONTEXT'];
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', join(projectRoot, 'test', 'native', `${file}.test.ts`)],
      { cwd: projectRoot, env, encoding: 'utf8', maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        resolve({ status: error?.code ?? (error === null ? 0 : String(error.signal)), output: stdout + stderr });
      },
    );
  });
}

test('no sanitizer complains', { skip, concurrency: 2 }, async (context) => {
  await Promise.all(
    files.map((file) =>
      context.test(file, async () => {
        using scratch = new Scratch();
        const { status, output } = await sanitized(file, scratch.path);
        const found = readdirSync(scratch.path).filter((name) => /^(asan|ubsan)\./.test(name));
        assert.deepEqual(
          found.map((name) => readFileSync(scratch.join(name), 'utf8')),
          [],
        );
        assert.doesNotMatch(output, /runtime error:|AddressSanitizer/);
        assert.equal(status, 0, output);
      }),
    ),
  );
});
