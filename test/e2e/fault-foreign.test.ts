import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { trees } from '../support/cli.js';
import { fastDirectory } from '../support/delta-fixture.js';
import {
  assertSound,
  createStoreFixture,
  currentTree,
  publishTools,
  type StoreFixture,
} from '../support/store-fixture.js';

/** Files that somebody put into a store, wherever there is a directory. Names may look like ours, never quite. */
const FOREIGN = [
  'notes.txt',
  '.hidden',
  'apps/notes.txt',
  'apps/.hidden',
  'apps/Not An App/file',
  'apps/tool/notes.txt',
  'apps/tool/007/file',
  'apps/tool/.trash-mine',
  'apps/empty/notes.txt',
  'data/tool/file',
  'downloads/notes.txt',
  'downloads/backup.partial',
  'feeds/notes.txt',
  'feeds/not a feed/file',
  'feeds/test/notes.txt',
  'locks/notes.txt',
  'locks/other.lock',
  'repo/notes.txt',
  'repo/objects/notes.txt',
  'repo/objects/zz/file',
  'repo/objects/aa/notes.txt',
  'repo/state/notes.txt',
  'repo/tmp/notes.txt',
];

const COMMANDS = [
  ['ls', '--size'],
  ['history', 'tool'],
  ['feed', 'list'],
  ['search', 'tool'],
  ['fsck'],
  ['install', 'tool@1'],
  ['install', 'tool'],
  ['update'],
  ['rollback', 'tool'],
  ['gc', '--dry-run'],
  ['gc', '--keep', '0'],
  ['fsck', '--repair'],
  ['feed', 'refresh'],
];

describe('what is not the store’s', { timeout: 300_000 }, () => {
  let fixture: StoreFixture;
  const path = (name: string): string => join(fixture.paths.root, name);

  before(async () => {
    fixture = await createStoreFixture(fastDirectory());
    await publishTools(fixture);
    await fixture.install('tool@1');
  });
  after(() => fixture[Symbol.asyncDispose]());

  it('is never deleted, and keeps no command from working', async () => {
    for (const name of FOREIGN) {
      mkdirSync(dirname(path(name)), { recursive: true });
      writeFileSync(path(name), `${name}\n`);
    }
    symlinkSync('/etc', path('apps/link'));
    symlinkSync('nowhere', path('downloads/dangling'));
    for (const command of COMMANDS) {
      const result = await trees(fixture.root, command);
      assert.equal(result.status, 0, `${command.join(' ')}: ${result.stdout}${result.stderr}`);
      for (const name of FOREIGN) assert.equal(existsSync(path(name)), true, `${command.join(' ')} kept ${name}`);
    }
    for (const name of FOREIGN) assert.equal(readFileSync(path(name), 'utf8'), `${name}\n`);
    for (const name of ['apps/link', 'downloads/dangling']) assert.ok(lstatSync(path(name)).isSymbolicLink(), name);
    const removed = await trees(fixture.root, ['rm', 'tool']);
    assert.equal(removed.status, 0, removed.stderr);
    for (const name of FOREIGN) assert.equal(existsSync(path(name)), true, `rm kept ${name}`);
    await fixture.install('tool');
    assert.equal(currentTree(fixture.paths, 'tool').version, '2.0.0');
  });

  for (const name of ['apps/tool/pin.json', 'locks/store.lock', 'downloads', 'feeds/test/state.json', 'repo/tmp']) {
    it(`is told where something else is at ${name}`, async () => {
      const place = path(name);
      const aside = `${fixture.feed.dir}/aside`;
      const was = existsSync(place);
      if (was) renameSync(place, aside);
      const isFile = /\.(json|lock)$/.test(name);
      if (isFile) mkdirSync(place);
      else writeFileSync(place, 'in the way\n');
      for (const command of [['install', 'tool@1'], ['update'], ['gc'], ['fsck']]) {
        const result = await trees(fixture.root, command);
        const said = `${command.join(' ')}: ${result.status} ${result.stdout}${result.stderr}`;
        assert.ok(result.status === 0 || result.status === 1, said);
        if (result.status === 1) assert.match(result.stderr + result.stdout, /error: .+|warning: .+|damaged/, said);
        assert.doesNotMatch(result.stderr, /internal error/, said);
      }
      const found = lstatSync(place);
      assert.equal(isFile ? found.isDirectory() : found.isFile(), true, `${name} is still there`);
      rmSync(place, { recursive: true });
      if (was) renameSync(aside, place);
      const result = await trees(fixture.root, ['install', 'tool']);
      assert.equal(result.status, 0, result.stderr);
    });
  }

  it('is told where something else is at the lock of a bundle that would be fetched ahead', async () => {
    const result = await trees(fixture.root, ['rm', 'tool', '--yes']);
    assert.equal(result.status, 0, result.stderr);
    assert.equal((await trees(fixture.root, ['gc', '--keep', '0'])).status, 0);
    const plan = await trees(fixture.root, ['install', 'tool', '--dry-run', '--json']);
    const files = [...plan.stdout.matchAll(/"file": ?"([^"]+)"/g)].map(([, file = '']) => file);
    assert.equal(files.length, 2, plan.stdout);
    const bytes = readFileSync(join(fixture.feed.feed, files[1] ?? ''));
    const place = path(`locks/bundle-${createHash('sha256').update(bytes).digest('hex')}.lock`);
    mkdirSync(place);
    const refused = await trees(fixture.root, ['install', 'tool', '--json']);
    assert.equal(refused.status, 1, refused.stdout);
    assert.match(refused.stderr + refused.stdout, /"code": ?"[A-Z_]+"/);
    assert.doesNotMatch(refused.stderr, /node:|\n +at /);
    rmSync(place, { recursive: true });
    const installed = await trees(fixture.root, ['install', 'tool']);
    assert.equal(installed.status, 0, installed.stderr);
  });

  it('modes that lock the owner out are told or put right', async () => {
    for (const [name, mode] of [
      ['', 0o777],
      ['apps', 0o700],
      ['locks', 0o500],
      ['downloads', 0],
      ['repo', 0o700],
      ['feeds', 0o700],
    ] as const) {
      chmodSync(path(name), mode);
    }
    const result = await trees(fixture.root, ['install', 'tool@1']);
    assert.equal(result.status, 0, result.stderr);
    assert.equal(lstatSync(path('')).mode & 0o777, 0o700, 'nobody else looks into a store');
    await assertSound(fixture.paths);
  });
});
