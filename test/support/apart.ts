import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { projectRoot, runProgram } from './rig.js';
import { missingForContainers } from './rootfs.js';

const VARIABLE = 'TREES_TEST_APART';

/**
 * Runs the tests of a file in a pid namespace of their own: what goes wrong with signals there ends nothing else on the
 * machine.
 * @param url of the file
 */
export function testApart(url: string, define: () => void): void {
  if (process.env[VARIABLE] === '1') {
    define();
    return;
  }
  const unshare = ['--pid', '--fork', '--mount-proc', '--kill-child', '--propagation=private'];
  const skip =
    missingForContainers() ||
    (spawnSync('unshare', [...unshare, 'true']).status === 0 ? false : 'needs unshare (util-linux)');
  test('in a pid namespace of its own', { skip }, async () => {
    // A shell as process 1: it waits for orphans.
    const words = ['sh', '-c', '"$@"; exit $?', 'sh', process.execPath, '--import', 'tsx', fileURLToPath(url)];
    const { status, stdout, stderr } = await runProgram('unshare', [...unshare, ...words], {
      cwd: projectRoot,
      env: { [VARIABLE]: '1', NODE_TEST_CONTEXT: undefined },
      timeout: 300_000,
    });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^# pass [1-9]|^ℹ pass [1-9]/m, stdout);
  });
}
