import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { knownUpToDate } from '../../trees/store/up-to-date.js';
import { updateApps } from '../../trees/store/update.js';
import { projectRoot } from '../support/ostree.js';
import { runProgram } from '../support/rig.js';
import { createStoreFixture, publishTool, type StoreFixture } from '../support/store-fixture.js';

const noStrace = existsSync('/usr/bin/strace') ? false : 'needs strace';

let fixture: StoreFixture;
let v1: string;
let v2: string;
let base: string;
const names = (): string[] | undefined => knownUpToDate(fixture.paths, [])?.map(({ name }) => name);
const update = async () =>
  await updateApps({ root: fixture.paths.root, lockTimeout: 60, command: 'update', names: [] });
const feedFile = (name: string): string => join(fixture.paths.feeds, 'test', name);

async function settle(): Promise<void> {
  // Files that changed just now are not relied upon.
  await sleep(2100);
  await update();
  assert.deepEqual(names(), ['tool']);
}

before(async () => {
  fixture = await createStoreFixture();
  ({ base, v1, v2 } = await publishTool(fixture));
  await fixture.publish([
    [null, base],
    [base, v1],
    [base, v2],
  ]);
  await fixture.install('tool');
  await settle();
});
after(async () => await fixture[Symbol.asyncDispose]());

describe('what is known to be up to date', () => {
  it('is told without reading an index, an object or an addon', { skip: noStrace }, async () => {
    const trees = async (...args: string[]) =>
      await runProgram('strace', [
        '-f',
        '-qq',
        '-e',
        'trace=openat',
        '-o',
        join(fixture.root, 'trace'),
        process.execPath,
        ...args,
      ]);
    const command = [join(projectRoot, 'dist/cli/bin.js'), '--root', fixture.root, 'update', '--json'];
    const { status, stdout } = await trees(...command);
    const trace = readFileSync(join(fixture.root, 'trace'), 'utf8');
    assert.equal(status, 0);
    assert.doesNotMatch(trace, /\.node"|\/repo\/|index\.json/);
    // The answer is the same as that of looking into it.
    rmSync(join(fixture.paths.root, '.up-to-date.json'));
    assert.equal((await trees(...command)).stdout, stdout);
    assert.match(readFileSync(join(fixture.root, 'trace'), 'utf8'), /index\.json/);
  });

  it('is asked for by name, too, but not for what is not installed', () => {
    assert.equal(knownUpToDate(fixture.paths, ['tool'])?.[0]?.generation.version, '2.0.0');
    assert.equal(knownUpToDate(fixture.paths, ['other']), undefined);
  });

  it('is not known beyond the expiry of the index', () => {
    assert.equal(knownUpToDate(fixture.paths, [], new Date('2095-12-31T00:00:00Z'))?.length, 1);
    assert.equal(knownUpToDate(fixture.paths, [], new Date('2096-01-02T00:00:00Z')), undefined);
  });

  it('is not known once the feed publishes, or its files are touched', async () => {
    const index = join(fixture.feed.feed, 'index.json');
    utimesSync(index, new Date(), new Date());
    assert.equal(names(), undefined);
    await settle();
    await fixture.publish([[null, v2]]);
    assert.equal(names(), undefined);
    await sleep(2100);
    assert.equal(names(), undefined, 'the file is another one, now that it may be relied upon, too');
  });

  it('is not known once anything else changes that it rests on', async () => {
    await settle();
    const change = (path: string, content: string): void => {
      const old = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
      writeFileSync(path, content);
      assert.equal(names(), undefined, path);
      if (old === undefined) rmSync(path);
      else writeFileSync(path, old);
      assert.deepEqual(names(), ['tool'], path);
    };
    change(
      feedFile('state.json'),
      readFileSync(feedFile('state.json'), 'utf8').replace(/"sequence": \d+/, '"sequence": 99'),
    );
    change(
      feedFile('feed.json'),
      readFileSync(feedFile('feed.json'), 'utf8').replace(/"priority": 0/, '"priority": 1'),
    );
    change(join(fixture.paths.app('tool'), 'pin.json'), '{"range":"1","since":"2026-01-01T00:00:00Z"}');
    change(join(fixture.paths.root, '.up-to-date.json'), 'damaged');
    await fixture.install('tool@1', { name: 'second' });
    assert.equal(names(), undefined, 'another app');
  });
});
