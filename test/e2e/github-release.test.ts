import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { noise } from '../support/delta-fixture.js';
import { createGithubFixture, FEED } from '../support/github-publisher.js';
import { at } from '../support/json.js';
import { createRig, type RunResult } from '../support/rig.js';
import { createSample } from '../support/sample.js';

const asRoot = process.geteuid?.() === 0;

describe('a feed on GitHub', { skip: asRoot ? false : 'building needs root' }, () => {
  it('is published, installed from and updated by deltas, without one API call of a reader', async () => {
    await using rig = await createRig();
    await using fixture = await createGithubFixture();
    const { github, env } = fixture;
    const sample = await createSample(rig);
    const publish = async (...args: string[]): Promise<unknown> => {
      const line = ['release', ...args, '--to', FEED.href, '--key', sample.secretKey];
      return await rig.json(line, { env: { ...env, TREES_ROOT: sample.publisher } });
    };
    // A reader knows where the server is, and has no token.
    const reader = { env: { GITHUB_SERVER_URL: github.server, GITHUB_API_URL: github.api } };
    const read = async (...args: string[]): Promise<unknown> => {
      const before = github.count('api');
      const answer = await rig.json(args, reader);
      assert.equal(github.count('api'), before, `API calls of trees ${args.join(' ')}`);
      return answer;
    };
    const tree = (path: string): string =>
      readFileSync(join(rig.store, 'apps/hello/current/rootfs', path), 'utf8').trim();

    const planned = await publish('mini', 'hello', '--dry-run');
    assert.equal(at(planned, 'status'), 'published');
    assert.ok(Number(at(planned, 'upload')) > 100_000, 'the plan has sizes');
    assert.deepEqual([fixture.published(), fixture.drafts()], [[], 0]);
    const first = await publish('mini', 'hello');
    assert.deepEqual([at(first, 'sequence'), at(first, 'upload')], [1, at(planned, 'upload')]);

    await read('feed', 'add', FEED.href, '--key', sample.publicKey, '--name', 'hub');
    const installed = await read('install', 'hello');
    const whole = Number(at(installed, 'apps', 0, 'fetched'));
    assert.equal(whole, at(first, 'upload'));
    assert.deepEqual([tree('etc/greeting'), tree('etc/kept')], ['hello', 'kept from 1.0.0']);
    assert.deepEqual(at(await read('update'), 'apps', 0, 'action'), 'unchanged');

    await sample.writeApp({ version: '1.1.0', greeting: 'hello again' });
    await sample.writeBase('1.2.0');
    // Both were built here, and their definitions have changed since.
    assert.equal(at(await publish('--no-build'), 'status'), 'unchanged');
    const foreseen = await publish('--dry-run');
    assert.deepEqual(at(foreseen, 'pending'), ['mini', 'hello']);
    const second = await publish();
    assert.deepEqual([at(second, 'status'), at(second, 'sequence')], ['published', 2]);
    const updated = await read('update');
    const deltas = Number(at(updated, 'apps', 0, 'fetched'));
    assert.ok(deltas > 0 && deltas < whole / 20, `${deltas} of ${whole} bytes`);
    assert.deepEqual([tree('etc/greeting'), tree('etc/kept')], ['hello again', 'kept from 1.2.0']);
    assert.equal(at(await publish('mini', 'hello', '--build'), 'status'), 'unchanged');

    const verified = await read('release', 'verify', FEED.href, '--key', sample.publicKey);
    assert.deepEqual([at(verified, 'problems'), at(verified, 'versions')], [[], 4]);
    assert.deepEqual(github.violations, []);
  });

  it('has versions for those who ask for them, until they are promoted to everybody', async () => {
    await using rig = await createRig();
    const sample = await createSample(rig);
    const publisher = { env: { TREES_ROOT: sample.publisher } };
    const feed = ['--to', sample.url, '--key', sample.secretKey];
    const version = async (): Promise<unknown> => at(await rig.json(['ls']), 'apps', 0, 'version');
    const ok = async (args: readonly string[], options = {}): Promise<RunResult> => {
      const result = await rig.trees(args, options);
      assert.equal(result.status, 0, `${args.join(' ')}: ${result.stderr}`);
      return result;
    };
    await ok(['feed', 'add', sample.url, '--key', sample.publicKey]);
    await sample.writeApp({ version: '2.0.0', greeting: 'hi' });
    await ok(['release', 'hello', '--channel', 'edge', ...feed], publisher);
    assert.match((await ok(['search', 'hello', '--refresh'])).stdout, /^hello +1\.0\.0 /m);
    await ok(['install', 'hello']);
    assert.equal(await version(), '1.0.0');
    assert.match((await ok(['info', 'hello'])).stdout, /2\.0\.0 \(edge\)/);
    assert.match((await ok(['feed', 'set', 'feed', '--channel', 'edge'])).stdout, /channel edge/);
    assert.match((await ok(['search', 'hello'])).stdout, /^hello +2\.0\.0 /m);
    await ok(['update']);
    assert.equal(await version(), '2.0.0');
    await ok(['install', 'hello', '--channel', 'stable']);
    assert.equal(await version(), '1.0.0');
    await ok(['update']);
    assert.equal(await version(), '1.0.0', 'what was said of the app holds, whatever its feed is set to');
    await ok(['rm', 'hello']);
    await ok(['install', 'hello']);
    assert.equal(await version(), '2.0.0');
    await ok(['feed', 'set', 'feed', '--channel', 'stable']);
    await ok(['update']);
    assert.equal(await version(), '2.0.0', 'nothing goes back by itself');
    await ok(['install', 'hello@1']);
    assert.equal(await version(), '1.0.0');
    await ok(['install', 'hello', '--channel', 'edge']);
    assert.equal(await version(), '2.0.0');
    await ok(['update']);
    assert.equal(await version(), '2.0.0');
    await ok(['install', 'hello', '--channel', 'stable']);
    assert.equal(await version(), '1.0.0');
    await ok(['update']);
    assert.equal(await version(), '1.0.0');
    const { stdout } = await ok(['release', 'promote', 'hello', ...feed], publisher);
    assert.match(stdout, /^moved hello 2\.0\.0 \(x86_64\) from edge to stable\n/);
    const again = await ok(['release', 'promote', 'hello', ...feed], publisher);
    assert.match(again.stdout, /unchanged/);
    await ok(['update']);
    assert.equal(await version(), '2.0.0');
    const missing = await rig.trees(['release', 'promote', 'helo', ...feed, '--json'], publisher);
    assert.deepEqual([missing.status, at(JSON.parse(missing.stdout), 'error', 'code')], [1, 'APP_NOT_FOUND']);
  });

  it('is built by its first release, with bundles of every kind that was asked for', async () => {
    await using rig = await createRig();
    const sample = await createSample(rig);
    const publisher = { env: { TREES_ROOT: rig.path('fresh') } };
    mkdirSync(join(sample.definitions, 'hello/usr/share'), { recursive: true });
    writeFileSync(join(sample.definitions, 'hello/usr/share/data'), noise(200_000, 3));
    const release = (...args: string[]) =>
      rig.trees(['release', '--to', `dir:${rig.path('second')}`, '--key', sample.secretKey, ...args], publisher);
    const status = async (...args: string[]): Promise<unknown> => {
      const { stdout, stderr } = await release(...args, '--json');
      return at(JSON.parse(stdout), 'status') ?? at(JSON.parse(stdout), 'error', 'code') ?? stderr;
    };
    assert.equal(await status(), 'APP_NOT_FOUND');
    assert.equal(await status('hello', '--no-build', '--definitions', sample.definitions), 'APP_NOT_FOUND');
    assert.equal(await status('hullo', '--definitions', sample.definitions), 'APP_NOT_FOUND');
    const foreseen = await release('hello', '--definitions', sample.definitions, '--dry-run');
    assert.match(foreseen.stdout, /^would build hello:/m, foreseen.stderr);
    // The base that the app needs is built with it.
    assert.equal(await status('hello', '--definitions', sample.definitions, '--encoding', 'both'), 'published');
    for (const version of ['1.1.0', '1.2.0', '1.3.0']) {
      await sample.writeApp({ version, greeting: version });
      assert.equal(await status('--encoding', 'both', '--previous', '1'), 'published');
    }
    const index: unknown = JSON.parse(readFileSync(join(rig.path('second'), 'index.json'), 'utf8'));
    const versions = at(index, 'apps', 'hello', 'versions');
    const bundles = at(index, 'bundles');
    assert.ok(Array.isArray(versions) && Array.isArray(bundles));
    assert.deepEqual(
      versions.map((entry: unknown) => at(entry, 'version')),
      ['1.3.0', '1.2.0', '1.1.0', '1.0.0'],
    );
    const [newest, before, oldest] = versions.map((entry: unknown) => at(entry, 'commit'));
    const leads = (from: unknown): boolean =>
      bundles.some((bundle: unknown) => at(bundle, 'to') === newest && at(bundle, 'from') === from);
    assert.deepEqual([leads(before), leads(oldest)], [true, false], 'from one version before, as was asked for');
    const encodings = new Set(bundles.map((bundle: unknown) => at(bundle, 'encoding')));
    assert.deepEqual([...encodings].map(String).toSorted(), ['fast', 'small']);
    const same = ['--encoding', 'both', '--previous', '1'];
    assert.equal(await status('--definitions', sample.definitions, ...same), 'unchanged');
  });
});
