import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { missingForContainers } from '../support/rootfs.js';
import { bench, eventually } from './support/container.js';

/** A user's own instance, joined by that user: without privileges on the host, the user namespace has to come first. */

const USER = 61_235;
const skip =
  missingForContainers() ||
  (spawnSync('setpriv', ['--reuid', String(USER), '--clear-groups', 'unshare', '-U', 'true']).status === 0
    ? false
    : 'needs setpriv, and user namespaces for unprivileged users');
const box = bench();
after(() => box[Symbol.dispose]());
chmodSync(box.directory, 0o755);
const wrapper = ['setpriv', '--reuid', String(USER), '--regid', String(USER), '--clear-groups'];

test('a user joins an instance of their own', { skip }, async () => {
  const own = join(box.directory, 'own');
  const rootfs = join(own, 'rootfs');
  mkdirSync(own);
  spawnSync('cp', ['-a', box.rootfs, rootfs]);
  spawnSync('chown', ['-R', `${USER}:${USER}`, own]);
  const runDir = join(own, 'run', 'mine');
  const supervision = { name: 'mine', app: 'app', generation: 1, runDir };
  const argv = ['sh', '-c', 'echo up; exec sleep 1000'];
  const running = box.start(box.spec({ argv, userns: 'self', lower: [rootfs], supervision }), { wrapper });
  await running.waitFor('up');
  await eventually(() => /^status=running$/m.test(readFileSync(join(runDir, 'state'), 'utf8')), 'it runs');
  chownSync(runDir, USER, USER);
  const exec = (...words: string[]) => {
    const [program = '', ...rest] = [
      ...wrapper,
      join(box.directory, 'bin', 'trees-launch'),
      '--exec',
      runDir,
      ...words,
    ];
    return spawnSync(program, rest, { encoding: 'utf8', timeout: 60_000 });
  };
  const script =
    'id -u; tr -s " " < /proc/self/uid_map; readlink /proc/self/ns/user; read main _ </proc/1/task/1/children; readlink /proc/$main/ns/user; exit 7';
  const result = exec('--', 'sh', '-c', script);
  const [id, map, user, init] = result.stdout.split('\n');
  assert.deepEqual([result.status, id, map?.trim(), user], [7, '0', `0 ${USER} 1`, init], result.stderr);
  assert.equal(exec('--', '/no/such').status, 127);
  assert.equal(exec('--', 'sh', '-c', 'kill -TERM $$').status, 143);
  const other = exec('--user=app', '--', 'id');
  assert.equal(other.status, 125);
  assert.match(other.stderr, /an unprivileged caller has only user 0/);
  running.child.kill('SIGTERM');
  await running.done;
});
