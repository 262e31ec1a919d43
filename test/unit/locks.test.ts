import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TreesError } from '../../trees/errors.js';
import { silentReporter } from '../../trees/reporter.js';
import { acquireLock, type LockKind, tryLock } from '../../trees/store/locks.js';

const holder = fileURLToPath(new URL('../support/hold-lock.ts', import.meta.url));
let dir: string;
let path: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trees-locks-'));
  path = join(dir, 'a.lock');
});

afterEach(async () => {
  for (const child of children.splice(0)) await end(child);
  rmSync(dir, { recursive: true, force: true });
});

/** Another process that holds the lock until it is killed. */
async function holdElsewhere(kind: LockKind): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--import', 'tsx', holder, path, kind], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  assert.ok(child.stdout !== null);
  await once(child.stdout, 'data');
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

const options = { what: 'the store', command: 'install x', timeout: 60 };

describe('locks between processes', () => {
  it('keeps a second writer out, names the holder, and is free once the holder was killed', async () => {
    const child = await holdElsewhere('exclusive');
    const expected = new RegExp(`the store,? (which )?is held by process ${child.pid} \\(hold it\\)`);
    await assert.rejects(acquireLock(path, 'exclusive', { ...options, timeout: 0 }), isError('LOCKED', expected));
    await assert.rejects(acquireLock(path, 'shared', { ...options, timeout: 0.05 }), isError('LOCKED', expected));

    const said: string[] = [];
    const reporter = { ...silentReporter, info: (message: string) => void said.push(message) };
    const waiting = acquireLock(path, 'exclusive', { ...options, reporter });
    while (said.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.match(said[0] ?? '', expected);
    await end(child);
    using lock = await waiting;
    assert.equal(lock.path, path);
    assert.equal(said.length, 1, 'it is said once');
  });

  it('lets readers in together and a writer only without them', async () => {
    await holdElsewhere('shared');
    {
      using reader = tryLock(path, 'shared');
      assert.ok(reader !== undefined);
      assert.equal(tryLock(path, 'exclusive'), undefined);
    }
    const last = children[0];
    assert.ok(last !== undefined);
    await end(last);
    using writer = tryLock(path, 'exclusive');
    assert.ok(writer !== undefined);
  });

  it('does not name a holder that is gone', async () => {
    const child = await holdElsewhere('exclusive');
    await end(child);
    using _reader = tryLock(path, 'shared');
    await assert.rejects(
      acquireLock(path, 'exclusive', { ...options, timeout: 0 }),
      isError('LOCKED', /held by another process/),
    );
  });
});

describe('locks within a process', () => {
  it('is given up when aborted', async () => {
    using _held = tryLock(path, 'exclusive', 'x');
    const controller = new AbortController();
    const waiting = acquireLock(path, 'exclusive', { ...options, signal: controller.signal });
    controller.abort();
    await assert.rejects(waiting, isError('CANCELLED', /waiting for the store/));
  });

  it('can be deleted by its holder without letting two others in', async () => {
    const held = await acquireLock(path, 'exclusive', options);
    let inside = 0;
    const contenders = Array.from({ length: 8 }, async () => {
      using _lock = await acquireLock(path, 'exclusive', options);
      inside += 1;
      assert.equal(inside, 1);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside -= 1;
    });
    held.releaseAndDelete();
    await Promise.all(contenders);
    assert.ok(existsSync(path));
    held.releaseAndDelete();
    assert.ok(existsSync(path), 'a released lock does not delete the file of the next one');
  });
});

function isError(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof TreesError && error.code === code && message.test(error.message);
}
