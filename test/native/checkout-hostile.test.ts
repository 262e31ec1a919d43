import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Repo } from '../../trees/ostree/index.js';
import { asRoot, checkout, createRepo, isError } from '../support/checkout.js';
import { writeRaw, writeRawDirMeta, writeRawDirTree } from '../support/raw-objects.js';

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'trees-hostile-'));
});
after(() => rmSync(dir, { recursive: true, force: true }));

describe('hostile trees', () => {
  let repo: string;
  let open: Repo;
  let meta: string;
  let file: string;
  const deep = (levels: number): string => {
    let tree = writeRawDirTree(repo, {});
    for (let level = 0; level < levels; level += 1) tree = writeRawDirTree(repo, { dirs: [['d', tree, meta]] });
    return tree;
  };

  before(async () => {
    repo = await createRepo(asRoot ? 'bare' : 'bare-user', dir);
    open = await Repo.open(repo);
    meta = writeRawDirMeta(repo, asRoot ? {} : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
    file = await open.writeFile({
      kind: 'regular',
      content: Buffer.from('x'),
      uid: 0,
      gid: 0,
      mode: 0o644,
      xattrs: [],
    });
  });
  after(() => open.close());

  /** Nothing may have been made: names are looked at before. */
  async function refused(rootTree: string, message: RegExp, code = 'LAYER_INVALID'): Promise<void> {
    const commit = await open.writeCommit({ rootTree, rootMeta: meta, timestamp: 0 });
    const known = new Set(readdirSync(dir));
    await assert.rejects(checkout(repo, commit, { below: dir, user: !asRoot }), isError(code, message));
    const made = readdirSync(dir).filter((name) => !known.has(name));
    assert.equal(made.length, 1);
    assert.deepEqual(readdirSync(join(dir, made[0] ?? '')), []);
  }

  const names = [
    '..',
    '.',
    '',
    '../../etc/passwd',
    '/etc/passwd',
    'a/b',
    'a\0b',
    'x'.repeat(256),
    Buffer.of(0xff, 0xfe),
  ];
  for (const name of names) {
    const shown = typeof name === 'string' ? JSON.stringify(name.slice(0, 20)) : 'bytes that are no text';
    it(`are refused for the name ${shown}`, async () => {
      const asFile = writeRawDirTree(repo, { files: [[name, file]] });
      await refused(writeRawDirTree(repo, { dirs: [['usr', asFile, meta]] }), /"\/usr"/);
      const asDir = writeRawDirTree(repo, { dirs: [[name, writeRawDirTree(repo, {}), meta]] });
      await refused(writeRawDirTree(repo, { dirs: [['usr', asDir, meta]] }), /"\/usr"/);
    });
  }

  it('are refused for names that are there twice or out of order', async () => {
    const empty = writeRawDirTree(repo, {});
    await refused(writeRawDirTree(repo, { files: [['a', file]], dirs: [['a', empty, meta]] }), /twice \("a" in "\/"\)/);
    await refused(
      writeRawDirTree(repo, {
        files: [
          ['a', file],
          ['a', file],
        ],
      }),
      /twice \("a" in "\/"\)/,
    );
    await refused(
      writeRawDirTree(repo, {
        dirs: [
          ['b', empty, meta],
          ['a', empty, meta],
        ],
      }),
      /not sorted \("a" in "\/"\)/,
    );
  });

  it('are refused for directories inside of themselves, too deep or too many', async () => {
    const loop = 'c'.repeat(64);
    writeRawDirTree(repo, { dirs: [['again', loop, meta]] }, loop);
    await refused(writeRawDirTree(repo, { dirs: [['start', loop, meta]] }), /inside of itself \("\/start\/again"\)/);
    await refused(deep(2049), /nested more than 2048 deep/);
    let bomb = writeRawDirTree(repo, {});
    for (let level = 0; level < 30; level += 1) {
      bomb = writeRawDirTree(repo, { dirs: ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [name, bomb, meta] as const) });
    }
    await refused(bomb, /more than 4000000 files and directories/);
  });

  it('are no problem as long as they are only odd', async () => {
    const commit = await open.writeCommit({ rootTree: deep(300), rootMeta: meta, timestamp: 0 });
    const { path } = await checkout(repo, commit, { below: dir, user: !asRoot });
    execFileSync('rm', ['-rf', path]);
  });

  it('are refused for directory metadata that is none', async () => {
    const empty = writeRawDirTree(repo, {});
    const cases = [
      [{ mode: 0o100644 }, /not that of a directory \("\/d"\)/],
      [{ mode: 0o7040755 }, /bits that have no meaning \("\/d"\)/],
      [{ uid: 0xffffffff }, /owner or group is 4294967295/],
      [{ xattrs: [['trusted.overlay.opaque', 'y']] }, /"trusted\.overlay\.opaque" is overlayfs's own \("\/d"\)/],
      [{ xattrs: [['user.overlay.redirect', '/etc']] }, /"user\.overlay\.redirect" is overlayfs's own \("\/d"\)/],
      [{ xattrs: [['user.ostreemeta', 'x']] }, /OSTree's own/],
    ] as const;
    for (const [values, message] of cases) {
      await refused(writeRawDirTree(repo, { dirs: [['d', empty, writeRawDirMeta(repo, values)]] }), message);
    }
  });

  it('are refused where objects are not what they are named for', async () => {
    const damaged = 'd'.repeat(64);
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(1, 0xff), Buffer.alloc(300, 0x7f), Buffer.from('no dirtree')]) {
      writeRaw(repo, 'dirtree', bytes, damaged);
      await refused(writeRawDirTree(repo, { dirs: [['d', damaged, meta]] }), /is damaged/, 'STORE_CORRUPT');
    }
    await refused(
      writeRawDirTree(repo, { dirs: [['d', 'e'.repeat(64), meta]] }),
      /eeee\.dirtree cannot be used: it is missing/,
      'STORE_CORRUPT',
    );
  });

  for (const [kind, args, what] of [
    ['device', ['c', '1', '3'], 'a device node'],
    ['block', ['b', '7', '0'], 'a device node'],
    ['fifo', ['p'], 'a FIFO'],
  ] as const) {
    it(`are refused for a ${kind} among the objects`, { skip: !asRoot && 'needs root' }, async () => {
      const fake = kind.padEnd(64, '0').replace(/[^0-9a-f]/g, '0');
      const path = join(repo, 'objects', fake.slice(0, 2), `${fake.slice(2)}.file`);
      mkdirSync(join(repo, 'objects', fake.slice(0, 2)), { recursive: true });
      execFileSync('mknod', [path, ...args]);
      const rootTree = writeRawDirTree(repo, { files: [['null', fake]] });
      await refused(rootTree, new RegExp(`it is ${what} \\("/null"\\)`));
      rmSync(path);
    });
  }
});
