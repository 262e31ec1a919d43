import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { encodeCache, readCache } from '../../trees/cli/packs/code-cache.js';
import { projectRoot, type RunResult, runProgram } from '../support/rig.js';

const NOBODY = 65_534;
const ROOT_ONLY = process.geteuid?.() === 0 ? false : 'needs root';

const directory = mkdtempSync(join(tmpdir(), 'trees-start-'));
after(() => rmSync(directory, { recursive: true }));
// Others are to run what is in there.
chmodSync(directory, 0o755);
const installation = join(directory, 'package');
const cli = join(installation, 'dist/cli');
const caches = join(cli, 'cache');
const own = join(directory, 'own');

/** Puts a copy of the built command in place, as it is after an installation. */
function install(): void {
  rmSync(installation, { recursive: true, force: true });
  cpSync(join(projectRoot, 'dist/cli'), cli, { recursive: true });
  copyFileSync(join(projectRoot, 'package.json'), join(installation, 'package.json'));
  symlinkSync(join(projectRoot, 'build'), join(installation, 'build'));
  rmSync(own, { recursive: true, force: true });
}

interface Start {
  readonly uid?: number;
  readonly flags?: readonly string[];
}

async function trees({ uid, flags = [] }: Start = {}): Promise<RunResult> {
  const command = [process.execPath, ...flags, join(cli, 'bin.js'), '--version'];
  const [file = '', ...args] =
    uid === undefined ? command : ['setpriv', `--reuid=${uid}`, '--clear-groups', ...command];
  return await runProgram(file, args, {
    cwd: '/',
    env: { XDG_CACHE_HOME: own, HOME: directory, NODE_OPTIONS: undefined },
  });
}

async function works(start?: Start): Promise<void> {
  const { status, stdout, stderr } = await trees(start);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  assert.match(stdout, /^trees \d/);
}

function list(place: string): string[] {
  return readdirSync(place).sort();
}

/** The cache that every command reads. */
function firstCache(place = caches): string {
  const name = list(place).find((entry) => entry.startsWith('list-'));
  assert.ok(name !== undefined, `no cache of the first pack in ${place}`);
  return join(place, name);
}

function isWhole(path: string): boolean {
  return readCache(path, () => true) !== undefined;
}

const inode = (path: string): number => statSync(path).ino;
const old = (path: string): void => utimesSync(path, 1e9, 1e9);

/** Makes a cache such that V8 takes it for that of another version. */
function makeForeign(path: string): Buffer {
  const data = Buffer.from(readCache(path, () => true) ?? []);
  data.writeUInt32LE((data.readUInt32LE(4) ^ 1) >>> 0, 4);
  const file = encodeCache(data);
  writeFileSync(path, file);
  return file;
}

describe('the code cache of an installed command', () => {
  beforeEach(install);

  it('is there from the beginning and is left alone', async () => {
    const before = inode(firstCache());
    await works();
    assert.equal(inode(firstCache()), before);
    assert.throws(() => list(own), { code: 'ENOENT' });
  });

  it('is made where there is none', async () => {
    const names = list(caches);
    rmSync(caches, { recursive: true });
    await works();
    assert.deepEqual(list(caches), names);
    assert.ok(isWhole(firstCache()));
    const made = inode(firstCache());
    await works();
    assert.equal(inode(firstCache()), made, 'V8 rejected what was made');
  });

  it('has what an installation calls to its end', async () => {
    const made = join(directory, 'made');
    mkdirSync(made);
    const { status, stdout } = await runProgram(process.execPath, [join(cli, 'warm-up.js'), made]);
    assert.equal(status, 0);
    assert.match(stdout, /^installed published 1\.0\.0 on ground 1\.0\.0 \(generation 1\)/m);
    assert.deepEqual(readdirSync(made).toSorted(), readdirSync(caches).toSorted());
  });

  it('is made again when V8 rejects it, unless that was just done', async () => {
    const path = firstCache();
    const foreign = makeForeign(path);
    await works();
    assert.deepEqual(readFileSync(path), foreign);
    old(path);
    await works();
    assert.notDeepEqual(readFileSync(path), foreign);
    const made = inode(path);
    old(path);
    await works();
    assert.equal(inode(path), made, 'V8 rejected what was made');
  });

  it('does not keep settings that are programs from being loaded', async () => {
    symlinkSync(join(projectRoot, 'node_modules'), join(installation, 'node_modules'));
    const settings = join(directory, 'settings.mjs');
    writeFileSync(
      settings,
      "import { sep } from 'node:path';\nexport default { release: { keep: sep.length + 6 } };\n",
    );
    const args = [join(cli, 'bin.js'), `--config=${settings}`, '--json', 'config'];
    const { status, stdout, stderr } = await runProgram(process.execPath, args);
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.match(stdout, /"release.keep": \{\s+"value": 7/);
  });

  it('is one of its own for other flags', async () => {
    const path = firstCache();
    const before = inode(path);
    const names = list(caches);
    await works({ flags: ['--stack-size=900'] });
    assert.equal(inode(path), before);
    assert.equal(list(caches).length, 2 * names.length);
  });

  for (const [damage, change] of [
    ['has a flipped bit', (file: Buffer) => file.fill((file[50_000] ?? 0) ^ 1, 50_000, 50_001)],
    ['ends too early', (file: Buffer) => file.subarray(0, file.length - 4096)],
    ['is empty', () => Buffer.alloc(0)],
  ] as const) {
    it(`is made again when it ${damage}`, async () => {
      const path = firstCache();
      writeFileSync(path, change(readFileSync(path)));
      assert.ok(!isWhole(path));
      await works();
      assert.ok(isWhole(path));
    });
  }

  it('is whole after many first starts at once', async () => {
    rmSync(caches, { recursive: true });
    await Promise.all([works(), works(), works()]);
    for (const name of list(caches)) assert.ok(isWhole(join(caches, name)), name);
    assert.deepEqual(
      list(caches).filter((name) => !name.endsWith('.cache')),
      [],
    );
  });

  it('does not grow without bounds', async () => {
    rmSync(firstCache());
    for (let at = 0; at < 40; at++) {
      writeFileSync(join(caches, `list-${at}.js.v1-x64.cache`), '');
      old(join(caches, `list-${at}.js.v1-x64.cache`));
    }
    writeFileSync(join(caches, 'first.1.tmp'), '');
    old(join(caches, 'first.1.tmp'));
    await works();
    const names = list(caches);
    assert.ok(names.length <= 16, `${names.length} files`);
    assert.ok(names.some((name) => name.includes(process.version)));
    assert.ok(!names.includes('first.1.tmp'));
  });
});

describe('the code cache of a command that belongs to another user', { skip: ROOT_ONLY }, () => {
  beforeEach(install);

  it('is kept in the user’s own directory', async () => {
    rmSync(caches, { recursive: true });
    mkdirSync(own);
    chownSync(own, NOBODY, NOBODY);
    await works({ uid: NOBODY });
    const place = join(own, 'trees');
    const { uid, mode } = statSync(place);
    assert.deepEqual({ uid, mode: mode & 0o777 }, { uid: NOBODY, mode: 0o700 });
    const made = inode(firstCache(place));
    await works({ uid: NOBODY });
    assert.equal(inode(firstCache(place)), made);
    assert.throws(() => list(caches), { code: 'ENOENT' });
  });

  it('is done without where none can be kept', async () => {
    rmSync(caches, { recursive: true });
    mkdirSync(own);
    await works({ uid: NOBODY });
    assert.deepEqual(list(own), []);
  });

  it('decides nothing that only its user could have written', async () => {
    // The same length, so that V8 cannot tell it from the pack's own; it says something else.
    const pack = list(cli).find((name) => name.startsWith('list-')) ?? '';
    const genuine = readFileSync(join(cli, pack), 'latin1');
    const evil = genuine.replaceAll('`trees ${', '`TREES ${');
    assert.notEqual(evil, genuine);
    const path = firstCache();
    writeFileSync(join(cli, pack), evil, 'latin1');
    rmSync(path);
    await trees();
    writeFileSync(join(cli, pack), genuine, 'latin1');
    const { stdout } = await trees();
    assert.match(stdout, /^TREES /, 'the cache has no effect, so this test shows nothing');

    const poisoned = readFileSync(path);
    chownSync(path, NOBODY, NOBODY);
    await works();
    assert.equal(statSync(path).uid, 0);

    // In the directory for this user's own, too, where nothing can be kept beside the packs.
    rmSync(caches, { recursive: true });
    writeFileSync(caches, '');
    const place = join(own, 'trees');
    mkdirSync(place, { recursive: true });
    const moved = join(place, basename(path));
    writeFileSync(moved, poisoned);
    chownSync(moved, NOBODY, NOBODY);
    await works();
    assert.equal(statSync(moved).uid, 0);
  });

  it('is not put into a directory of somebody else’s', async () => {
    const place = join(own, 'trees');
    mkdirSync(place, { recursive: true });
    chownSync(place, NOBODY, NOBODY);
    rmSync(caches, { recursive: true });
    // No directory can be made there, not even by root.
    writeFileSync(caches, '');
    await works();
    assert.deepEqual(list(place), []);
    rmSync(place, { recursive: true });
    mkdirSync(join(directory, 'elsewhere'), { recursive: true });
    symlinkSync(join(directory, 'elsewhere'), place);
    await works();
    assert.deepEqual(list(join(directory, 'elsewhere')), []);
  });
});
