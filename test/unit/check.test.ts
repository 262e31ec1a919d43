import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { checkBuilding } from '../../trees/check/building.js';
import { interpret } from '../../trees/check/kernel.js';
import { checkFileSystem, checkStore } from '../../trees/check/store.js';
import { TreesError } from '../../trees/errors.js';
import { checkUsable } from '../../trees/store/usable.js';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trees-check-'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

const all =
  'userns 0 ok\nnamespaces 0 ok\noverlay 0 ok\nidmap 0 ok\npidfd 0 ok\nopenat2 0 ok\nseccomp 0 ok\nclose_range 0 ok\npty 0 ok\n';

describe('kernel features', () => {
  it('are fine when all probes succeed', () => {
    assert.deepEqual(new Set(interpret(all, true).map((check) => check.status)), new Set(['ok']));
  });

  it('are missing where containers need them, with the reason and a hint', () => {
    const found = interpret(all.replace('overlay 0 ok', 'overlay 22 Invalid argument'), true);
    const overlay = found.find((check) => check.id === 'overlay');
    assert.equal(overlay?.status, 'missing');
    assert.match(overlay.why, /Invalid argument/);
    assert.notEqual(overlay.hint, '');
  });

  it('are a warning where fuse-overlayfs does in place of the kernel’s overlay', () => {
    const output = all.replace('overlay 0 ok', 'overlay 22 Invalid argument');
    const overlay = interpret(output, false, { fuseOverlayfs: true }).find((check) => check.id === 'overlay');
    assert.equal(overlay?.status, 'warn');
    assert.match(overlay.why, /Invalid argument; fuse-overlayfs is used/);
    const without = interpret(output, false).find((check) => check.id === 'overlay');
    assert.equal(without?.status, 'missing');
    assert.match(without.hint ?? '', /install fuse-overlayfs/);
  });

  it('are a warning where there is another way', () => {
    const found = interpret(all.replace('idmap 0 ok', 'idmap 22 Invalid argument'), true);
    assert.equal(found.find((check) => check.id === 'idmap')?.status, 'warn');
    assert.equal(
      interpret(all, false).find((check) => check.id === 'idmap'),
      undefined,
    );
  });

  it('are missing when the probe did not come that far', () => {
    assert.equal(interpret('userns 0 ok\n', true).find((check) => check.id === 'seccomp')?.status, 'missing');
  });
});

describe('the store', () => {
  it('is fine where it can be created, and nothing is created by looking', async () => {
    const [store] = await checkStore(join(dir, 'a/b/c'));
    assert.equal(store?.status, 'ok');
    assert.deepEqual(readdirSync(dir), []);
  });

  it('is missing below a file', async () => {
    writeFileSync(join(dir, 'file'), '');
    const [store] = await checkStore(join(dir, 'file/store'));
    assert.equal(store?.status, 'missing');
    assert.match(store.why, /file/);
  });

  it('is not taken to be somebody else’s directory', async () => {
    mkdirSync(join(dir, 'documents'));
    await assert.rejects(checkUsable(dir), isError('STORE_UNUSABLE', /documents/));
  });

  it('may have been begun by adding a feed', async () => {
    mkdirSync(join(dir, 'feeds'));
    assert.equal(await checkUsable(dir), true);
  });

  it('needs a file system with hard links', () => {
    for (const check of checkFileSystem(dir, true)) assert.equal(check.status, 'ok', check.why);
  });

  it('cannot be in a directory of another user', async (t) => {
    if (process.geteuid?.() !== 0) {
      t.skip('needs root, to give a directory away');
      return;
    }
    chownSync(dir, 12345, 12345);
    await assert.rejects(checkUsable(dir), isError('STORE_UNUSABLE', /belongs to user 12345/));
  });
});

describe('tools for building', () => {
  it('are looked for on the path that is given', () => {
    writeFileSync(join(dir, 'mmdebstrap'), '');
    assert.equal(checkBuilding(dir).find((check) => check.id === 'mmdebstrap')?.status, 'warn', 'not executable');
    chmodSync(join(dir, 'mmdebstrap'), 0o755);
    const found = checkBuilding(dir);
    assert.equal(found.find((check) => check.id === 'mmdebstrap')?.status, 'ok');
    assert.equal(found.find((check) => check.id === 'tar')?.status, 'warn');
  });
});

function isError(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof TreesError && error.code === code && message.test(error.message);
}
