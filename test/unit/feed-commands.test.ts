import assert from 'node:assert/strict';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { key as keyGroup } from '../../releases/key-commands.js';
import { release } from '../../releases/release-command.js';
import type { Command, CommandGroup, CommandResult, Context } from '../../trees/cli/command.js';
import { command as feedGroup } from '../../trees/cli/commands/feed.js';
import { command as search } from '../../trees/cli/commands/search.js';
import type { Settings } from '../../trees/config/schema.js';
import { encodePublicKey } from '../../trees/feed/minisign.js';
import { listOffers, searchOffers } from '../../trees/feed/search.js';
import type { Reporter } from '../../trees/reporter.js';
import { silentReporter } from '../../trees/reporter.js';
import {
  appVersion,
  checksum,
  createFeedFixture,
  type FeedFixture,
  failsWith,
  makeIndex,
  snapshot,
} from '../support/feed-fixture.js';
import { at } from '../support/json.js';

interface Run {
  (command: Command, args?: Record<string, unknown>, settings?: Partial<Settings>): Promise<CommandResult>;
  readonly warnings: string[];
}

function runner(fixture: FeedFixture): Run {
  const warnings: string[] = [];
  const reporter: Reporter = { ...silentReporter, warn: (message) => warnings.push(message) };
  const base: Settings = {
    root: fixture.root,
    runtimeDir: join(fixture.dir, 'run'),
    logDir: join(fixture.dir, 'log'),
    binDir: undefined,
    scope: 'system',
    feed: undefined,
    arch: 'x86_64',
    color: false,
    verbosity: 'normal',
    lockTimeout: 10,
    network: {},
    build: { definitions: [], mirror: undefined },
    release: { to: undefined, key: undefined, expiresDays: 90, keep: 5 },
    json: false,
    yes: false,
    dryRun: false,
  };
  const run = async (command: Command, args: Record<string, unknown> = {}, settings: Partial<Settings> = {}) => {
    const context: Context = {
      settings: { ...base, ...settings },
      origins: [],
      reporter,
      signal: new AbortController().signal,
      env: {},
      cwd: fixture.dir,
      confirm: async () => await Promise.resolve(settings.yes === true),
    };
    const variadic = command.positionals.filter((positional) => positional.variadic === true);
    const defaults = Object.fromEntries(variadic.map(({ name }) => [name, []]));
    return await command.run(context, { rest: [], ...defaults, ...args });
  };
  return Object.assign(run, { warnings });
}

function member(group: CommandGroup, name: string): Command {
  const found = group.commands.find((command) => command.name === name);
  assert.ok(found, `no command ${group.name} ${name}`);
  return found;
}

const add = member(feedGroup, 'add');
const ls = member(feedGroup, 'ls');
const rm_ = member(feedGroup, 'rm');
const refresh = member(feedGroup, 'refresh');

/** Makes it look as if `etcd` had been installed from feed "feed". */
async function pretendInstalled(fixture: FeedFixture): Promise<void> {
  const app = join(fixture.root, 'apps/etcd');
  await mkdir(join(app, '1'), { recursive: true });
  const commit = checksum('x');
  const generation = {
    schema: 1,
    number: 1,
    name: 'etcd',
    app: 'etcd',
    version: '3.5.0',
    arch: 'x86_64',
    summary: '',
    feed: 'feed',
    base: { name: 'deb', version: '12.0.0', commit },
    layer: commit,
    tree: commit,
    size: 1,
    files: 1,
    installed: '2026-01-01T00:00:00Z',
    run: {},
  };
  await writeFile(join(app, '1/generation.json'), JSON.stringify(generation));
  await symlink('1', join(app, 'current'));
}

describe('trees feed', () => {
  it('adds by key line and by key file, lists, and removes', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const run = runner(fixture);
    const line = encodePublicKey(fixture.key.public);
    const added = await run(add, { url: 'dir:feed', key: [line] });
    assert.equal(added.text, `added feed feed (dir:${fixture.feed}): 1 app, index 5\n`);
    assert.equal(at(added.json, 'feed', 'keys', 0, 'key'), line);
    const listed = await run(ls);
    assert.match(listed.text, /^NAME .*\nfeed .* 2036-01-01\n$/);
    assert.equal(at(listed.json, 'feeds', 0, 'index', 'sequence'), 5);
    assert.equal(at(listed.json, 'feeds', 0, 'problem'), null);
    await run(rm_, { feed: 'feed' });
    assert.deepEqual((await run(ls)).json, { feeds: [] });
    await run(add, { url: 'dir:feed', key: [join(fixture.dir, 'two.pub'), 'one.pub'], name: 'mine', priority: 7 });
    assert.equal(at((await run(ls)).json, 'feeds', 0, 'priority'), 7);
  });

  it('asks for a yes where no key is given', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const run = runner(fixture);
    await assert.rejects(run(add, { url: 'dir:feed' }), failsWith('NOT_CONFIRMED'));
    assert.deepEqual(await snapshot(fixture.root), {});
    assert.match((await run(add, { url: 'dir:feed' }, { yes: true })).text, /^added/);
  });

  it('refuses keys that are none', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const run = runner(fixture);
    for (const key of ['none.pub', 'one.key', `RW${'A'.repeat(54)}`]) {
      await assert.rejects(run(add, { url: 'dir:feed', key: [key] }), failsWith('KEY_INVALID'));
    }
  });

  it('changes nothing with --dry-run', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const run = runner(fixture);
    const args = { url: 'dir:feed', key: ['one.pub'] };
    assert.match((await run(add, args, { dryRun: true })).text, /^would add/);
    assert.deepEqual(await snapshot(fixture.root), {});
    await run(add, args);
    await fixture.publish(makeIndex({ sequence: 6 }));
    const before = await snapshot(fixture.root);
    assert.match((await run(rm_, { feed: 'feed' }, { dryRun: true })).text, /^would remove/);
    assert.match((await run(refresh, {}, { dryRun: true })).text, /5 → 6/);
    assert.deepEqual(await snapshot(fixture.root), before);
  });

  it('does not remove a feed that apps came from, unless forced', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const run = runner(fixture);
    await run(add, { url: 'dir:feed', key: ['one.pub'] });
    await pretendInstalled(fixture);
    await assert.rejects(run(rm_, { feed: 'feed' }), failsWith('IN_USE', /etcd/));
    await run(rm_, { feed: 'feed', force: true });
    assert.deepEqual((await run(ls)).json, { feeds: [] });
  });

  it('refreshes all it can and fails if one could not be', async () => {
    await using fixture = await createFeedFixture();
    await using second = await createFeedFixture();
    await fixture.publish(makeIndex());
    await second.publish(makeIndex({ feed: 'second' }));
    const run = runner(fixture);
    await run(add, { url: 'dir:feed', key: ['one.pub'] });
    await run(add, { url: `dir:${second.feed}`, key: [join(second.dir, 'one.pub')], name: 'second' });
    await fixture.publish(makeIndex({ sequence: 6 }));
    await second.publish(makeIndex({ feed: 'second', sequence: 1 }));
    const result = await run(refresh);
    assert.equal(result.status, 1);
    assert.equal(result.text, 'feed: index 5 → 6\n');
    assert.equal(at(result.json, 'feeds', 1, 'problem', 'code'), 'INDEX_REPLAYED');
    assert.match(run.warnings.join(), /sequence is 1/);
    await assert.rejects(run(refresh, { feeds: ['second'] }), failsWith('INDEX_REPLAYED'));
    assert.equal((await run(refresh, { feeds: ['feed'] })).text, 'feed: no news, index 6\n');
    await assert.rejects(run(refresh, { feeds: ['third'] }), failsWith('FEED_NOT_FOUND'));
  });
});

describe('trees search', () => {
  it('finds by name and summary, best first, and says what is installed', async () => {
    await using fixture = await createFeedFixture();
    const versions = [appVersion('3.6.0')];
    const apps = {
      kvtool: { summary: 'uses etcd', versions },
      'etcd-ui': { summary: 'Web', versions },
      etcd: {
        summary: 'key-value store',
        versions: [appVersion('3.5.0'), appVersion('3.6.0'), appVersion('4.0.0-rc.1')],
      },
      arm: { summary: 'etcd for others', versions: [] },
    };
    await fixture.publish(makeIndex({ apps }));
    const run = runner(fixture);
    await assert.rejects(run(search), failsWith('FEED_NOT_FOUND'));
    await run(add, { url: 'dir:feed', key: ['one.pub'] });
    await pretendInstalled(fixture);
    const found = await run(search, { words: ['ETCD'] });
    assert.deepEqual(
      [0, 1, 2, 3].map((position) => at(found.json, 'apps', position, 'name')),
      ['etcd', 'etcd-ui', 'kvtool', undefined],
    );
    assert.deepEqual(at(found.json, 'apps', 0, 'versions'), ['4.0.0-rc.1', '3.6.0', '3.5.0']);
    assert.equal(at(found.json, 'apps', 0, 'version'), '3.6.0');
    assert.equal(at(found.json, 'apps', 0, 'installed'), '3.5.0');
    assert.equal(at(found.json, 'apps', 1, 'installed'), null);
    assert.match(found.text, /^NAME +VERSION +INSTALLED/);
    assert.equal((await run(search, { words: ['etcd', 'store'] })).text.split('\n').length, 3);
    const none = await run(search, { words: ['nothing'] });
    assert.deepEqual([none.text, at(none.json, 'apps')], ['', []]);
  });

  it('does not use the network, unless told to', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const run = runner(fixture);
    await run(add, { url: 'dir:feed', key: ['one.pub'] });
    await fixture.publish(makeIndex({ sequence: 6, apps: {}, bundles: [] }));
    assert.equal(at((await run(search)).json, 'apps', 'length'), 1);
    assert.deepEqual(at((await run(search, { refresh: true })).json, 'apps'), []);
    await rm(fixture.feed, { recursive: true });
    assert.deepEqual(at((await run(search, { refresh: true })).json, 'problems'), []);
    assert.match(run.warnings.join(), /using its index/);
  });

  it('ranks by the worst of several words', () => {
    const known = { name: 'f', url: 'dir:/f', keys: [], priority: 0, added: '' };
    const index = makeIndex({ apps: { b: { summary: 'a', versions: [appVersion('1.0.0')] } } });
    const offers = listOffers([{ feed: known, index, stale: false }], 'x86_64');
    assert.equal(searchOffers(offers, ['b', 'a']).length, 1);
    assert.equal(searchOffers(offers, ['b', 'c']).length, 0);
    assert.equal(listOffers([{ feed: known, index, stale: false }], 'riscv64').length, 0);
  });
});

describe('trees key', () => {
  const generate = member(keyGroup, 'generate');
  const show = member(keyGroup, 'show');

  it('makes a pair and shows it from either half', async () => {
    await using fixture = await createFeedFixture();
    const run = runner(fixture);
    await run(generate, { output: 'a.key' }, { dryRun: true });
    const made = await run(generate, { output: 'a.key', comment: 'for tests' });
    assert.match(await readFile(join(fixture.dir, 'a.pub'), 'utf8'), /^untrusted comment: for tests\nRW/);
    const [fromSecret, fromPublic] = [await run(show, { file: 'a.key' }), await run(show, { file: 'a.pub' })];
    assert.deepEqual(fromSecret, fromPublic);
    assert.equal(at(made.json, 'fingerprint'), at(fromSecret.json, 'fingerprint'));
    assert.match(fromSecret.text, /^key {10}RW\S{54}\nid {11}[0-9A-F]{16}\nfingerprint {2}SHA256:\S{43}\n$/);
    await assert.rejects(run(generate, { output: 'a.key' }), failsWith('PATH_CONFLICT'));
    await assert.rejects(run(generate, { output: 'a.key' }, { dryRun: true }), failsWith('PATH_CONFLICT'));
    await assert.rejects(run(generate, { output: 'b.key', comment: 'a\nb' }), failsWith('USAGE'));
    await assert.rejects(run(show, { file: 'feed' }), failsWith('KEY_INVALID'));
  });
});

describe('trees release, wrongly used', () => {
  it('says what is missing', async () => {
    await using fixture = await createFeedFixture();
    const run = runner(fixture);
    const publish = release.fallback;
    assert.ok(publish);
    await assert.rejects(run(publish), failsWith('USAGE', /--to/));
    await assert.rejects(run(publish, { to: 'dir:feed' }), failsWith('USAGE', /--key/));
    await assert.rejects(run(publish, { to: 'https://x/', key: 'one.key' }), failsWith('UNSUPPORTED'));
    await assert.rejects(run(publish, { to: 'dir:feed', key: 'one.pub' }), failsWith('KEY_INVALID'));
    await assert.rejects(run(publish, { to: 'dir:feed', key: 'one.key', expires: 0 }), failsWith('USAGE', /--expires/));
    await assert.rejects(
      run(publish, { to: 'dir:feed', key: 'one.key' }),
      failsWith('APP_NOT_FOUND', /nothing has been built/),
    );
  });
});
