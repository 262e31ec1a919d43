import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  flock,
  getXattr,
  listXattrs,
  memfd,
  renameExchange,
  renameNoReplace,
  setXattr,
  syncfs,
  tryFlock,
  unlock,
} from '../../trees/system/index.js';

const directory = mkdtempSync(join(tmpdir(), 'trees-system-'));
after(() => rmSync(directory, { recursive: true }));
const at = (name: string): string => join(directory, name);
const index = new URL('../../trees/system/index.ts', import.meta.url).pathname;

test('flock: exclusive excludes, shared shares, closing frees', async () => {
  writeFileSync(at('lock'), '');
  const a = openSync(at('lock'), 'r');
  const b = openSync(at('lock'), 'r');
  assert.equal(tryFlock(a, 'exclusive'), true);
  assert.equal(tryFlock(b, 'shared'), false);
  unlock(a);
  assert.equal(tryFlock(b, 'shared'), true);
  assert.equal(tryFlock(a, 'shared'), true);
  assert.equal(tryFlock(a, 'exclusive'), false);
  closeSync(b);
  await flock(a, 'exclusive', { timeout: 5 });
  closeSync(a);
});

test('flock: gives up after the timeout and when aborted', async () => {
  const a = openSync(at('lock'), 'r');
  const b = openSync(at('lock'), 'r');
  tryFlock(a, 'exclusive');
  await assert.rejects(flock(b, 'exclusive', { timeout: 0.02 }), { code: 'LOCKED' });
  await assert.rejects(flock(b, 'exclusive', { signal: AbortSignal.timeout(20) }), { name: /AbortError|TimeoutError/ });
  const waiting = flock(b, 'exclusive', { timeout: 10 });
  closeSync(a);
  await waiting;
  closeSync(b);
});

test('renameNoReplace refuses an existing target and leaves both', () => {
  writeFileSync(at('a'), 'a');
  writeFileSync(at('b'), 'b');
  assert.throws(() => renameNoReplace(at('a'), at('b')), { code: 'EEXIST', syscall: 'renameat2' });
  assert.equal(readFileSync(at('b'), 'utf8'), 'b');
  renameExchange(at('a'), at('b'));
  assert.equal(readFileSync(at('a'), 'utf8'), 'b');
  renameNoReplace(at('a'), at('c'));
  assert.equal(readFileSync(at('c'), 'utf8'), 'b');
});

test('syncfs on a path and on a descriptor; errors are system errors', async () => {
  await syncfs(directory);
  const fd = openSync(directory, 'r');
  await syncfs(fd);
  closeSync(fd);
  await assert.rejects(syncfs(at('missing')), { code: 'ENOENT' });
  await assert.rejects(syncfs(12345), { code: 'EBADF' });
});

test('memfd holds the bytes and cannot be changed', () => {
  const fd = memfd('plan', Buffer.from('content'));
  assert.equal(readFileSync(`/proc/self/fd/${fd}`, 'utf8'), 'content');
  assert.throws(() => writeSync(fd, 'x'), { code: 'EPERM' });
  closeSync(fd);
});

test('extended attributes round-trip', () => {
  writeFileSync(at('x'), '');
  assert.equal(getXattr(at('x'), 'user.trees'), undefined);
  setXattr(at('x'), 'user.trees', Buffer.alloc(1000, 7));
  assert.deepEqual(getXattr(at('x'), 'user.trees'), Buffer.alloc(1000, 7));
  assert.deepEqual(
    listXattrs(at('x')).filter((name) => name.startsWith('user.')),
    ['user.trees'],
  );
  assert.throws(() => getXattr(at('missing'), 'user.trees'), { code: 'ENOENT' });
});

test('execve replaces Node and puts back what Node changed', () => {
  const script = `
    import { execve } from ${JSON.stringify(index)};
    process.stdin.on('data', () => {});
    setTimeout(() => execve('/bin/sh', ['sh', '-c',
      'echo $$; grep SigIgn /proc/self/status; grep SigBlk /proc/self/status; ulimit -Sn; grep flags /proc/self/fdinfo/0'
    ], { env: { A: 'b' } }), 50);`;
  const shell = 'ulimit -Sn 321; "$@"; true';
  const result = spawnSync(
    '/bin/sh',
    ['-c', shell, 'sh', process.execPath, '--import', 'tsx', '--input-type=module', '-e', script],
    { stdio: ['pipe', 'pipe', 'inherit'], encoding: 'utf8' },
  );
  const [pid, ignored, blocked, limit, flags] = result.stdout.split('\n');
  assert.match(pid ?? '', /^\d+$/);
  assert.match(ignored ?? '', /SigIgn:\s+0{16}/);
  assert.match(blocked ?? '', /SigBlk:\s+0{16}/);
  assert.equal(limit, '321');
  assert.equal(parseInt(/flags:\s+(\d+)/.exec(flags ?? '')?.[1] ?? '', 8) & 0o4000, 0);
});

test('execve of a missing program throws and Node lives on', async () => {
  const { execve } = await import('../../trees/system/index.js');
  assert.throws(() => execve('/no/such', ['x'], { env: {} }), { code: 'ENOENT', path: '/no/such' });
});
