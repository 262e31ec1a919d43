import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { IndexedFeed } from '../../trees/feed/feeds.js';
import { nearest } from '../../trees/feed/nearest.js';
import type { FeedIndex } from '../../trees/feed/schema.js';
import { parseAppReference, type SelectRequest, selectApp } from '../../trees/feed/select.js';
import { appVersion, baseVersion, failsWith, makeIndex } from '../support/feed-fixture.js';

function feed(name: string, index: Partial<FeedIndex> = {}, priority = 0): IndexedFeed {
  const known = { name, url: `dir:/${name}`, keys: [], priority, added: '' };
  return { feed: known, index: makeIndex(index), stale: false };
}

const apps = (...versions: ReturnType<typeof appVersion>[]): Partial<FeedIndex> => ({
  apps: { etcd: { summary: 's', versions } },
});

function pick(feeds: readonly IndexedFeed[], app: string, request: Partial<SelectRequest> = {}): string {
  const found = selectApp(feeds, { app, arch: 'x86_64', ...request });
  return `${found.feed.feed.name}/${found.name}@${found.app.version} on ${found.base.name}@${found.base.version.version}`;
}

describe('parseAppReference', () => {
  it('takes the three forms', () => {
    assert.deepEqual(parseAppReference('etcd'), { feed: undefined, name: 'etcd', range: undefined });
    assert.deepEqual(parseAppReference('etcd@^3'), { feed: undefined, name: 'etcd', range: '^3' });
    assert.deepEqual(parseAppReference('etcd@latest'), { feed: undefined, name: 'etcd', range: undefined });
    assert.deepEqual(parseAppReference('my/etcd@>=3 <4'), { feed: 'my', name: 'etcd', range: '>=3 <4' });
  });

  it('refuses the rest', () => {
    for (const text of ['', '@1', 'Etcd', '../etcd', 'a/b/c', 'etcd@new', '/etcd', 'etcd/', '-x']) {
      assert.throws(() => parseAppReference(text), failsWith('USAGE', /Expected/));
    }
  });
});

describe('selectApp', () => {
  it('takes the newest app on the newest base that fits', () => {
    assert.equal(pick([feed('f')], 'etcd'), 'f/etcd@3.6.0 on deb@12.1.0');
    assert.equal(pick([feed('f')], 'etcd@~3.5'), 'f/etcd@3.5.0 on deb@12.1.0');
    const ten = feed('f', apps(appVersion('3.9.0'), appVersion('3.10.0')));
    assert.equal(pick([ten], 'etcd'), 'f/etcd@3.10.0 on deb@12.1.0');
  });

  it('takes a prerelease only if nothing else is there or it is asked for', () => {
    const versions = feed('f', apps(appVersion('4.0.0-rc.1'), appVersion('3.6.0')));
    assert.equal(pick([versions], 'etcd'), 'f/etcd@3.6.0 on deb@12.1.0');
    assert.equal(pick([versions], 'etcd@4.0.0-rc.1'), 'f/etcd@4.0.0-rc.1 on deb@12.1.0');
    assert.equal(pick([feed('f', apps(appVersion('4.0.0-rc.1')))], 'etcd'), 'f/etcd@4.0.0-rc.1 on deb@12.1.0');
  });

  it('matches prereleases with ranges as npm does', () => {
    const names = ['3.6.0', '3.7.0-rc.1', '3.7.0-rc.2', '4.0.0-rc.1', '4.0.0-rc.2'];
    const offered = feed('f', apps(...names.map((version) => appVersion(version))));
    const taken = (range: string): string => pick([offered], `etcd@${range}`).replace(/^f\/etcd@| on .*$/g, '');
    assert.equal(taken('^3'), '3.6.0');
    assert.equal(taken('>=3'), '3.6.0');
    assert.equal(taken('^3.7.0-rc.1'), '3.7.0-rc.2');
    assert.equal(taken('~3.7.0-rc.1'), '3.7.0-rc.2');
    assert.equal(taken('^4.0.0-0'), '4.0.0-rc.2');
    assert.equal(taken('>=3.7.0-rc.1 <3.7.0-rc.2'), '3.7.0-rc.1');
    // Only prereleases of the very version that the range names.
    assert.equal(taken('>=3.7.0-rc.1'), '3.7.0-rc.2');
    assert.throws(() => taken('^4'), failsWith('VERSION_NOT_FOUND'));
    assert.throws(() => taken('>=3.8.0-rc.1'), failsWith('VERSION_NOT_FOUND'));
  });

  it("keeps to the app's range of bases and to the user's", () => {
    const older = feed('f', apps(appVersion('3.6.0', { range: '<12.1' })));
    assert.equal(pick([older], 'etcd'), 'f/etcd@3.6.0 on deb@12.0.0');
    assert.equal(pick([feed('f')], 'etcd', { base: 'deb' }), 'f/etcd@3.6.0 on deb@12.1.0');
    assert.equal(pick([feed('f')], 'etcd', { base: 'deb@12.0' }), 'f/etcd@3.6.0 on deb@12.0.0');
    const newer = feed('f', apps(appVersion('3.6.0', { range: '^13' })));
    assert.throws(() => pick([newer], 'etcd'), failsWith('BASE_RANGE_UNSATISFIED', /deb@\^13/));
    assert.throws(
      () => pick([feed('f')], 'etcd', { base: 'deb@11' }),
      failsWith('BASE_RANGE_UNSATISFIED', /asked for 11/),
    );
  });

  it('finds the version that builds on the base asked for', () => {
    const bases = {
      deb: { summary: '', versions: [baseVersion('12.1.0')] },
      alp: { summary: '', versions: [baseVersion('3.20.0')] },
    };
    const both = feed('f', { bases, ...apps(appVersion('2.0.0'), appVersion('1.0.0', { name: 'alp', range: '3' })) });
    assert.equal(pick([both], 'etcd', { base: 'alp' }), 'f/etcd@1.0.0 on alp@3.20.0');
    assert.throws(() => pick([both], 'etcd', { base: 'trub' }), failsWith('BASE_NOT_FOUND', /no base called "trub"/));
    const debOnly = feed('f', { bases, ...apps(appVersion('2.0.0')) });
    assert.throws(() => pick([debOnly], 'etcd', { base: 'alp' }), failsWith('BASE_NOT_FOUND', /builds on deb/));
    assert.throws(() => pick([both], 'etcd', { base: 'constructor' }), failsWith('BASE_NOT_FOUND'));
  });

  it('asks feeds by priority, then by name, and goes on where one has nothing that fits', () => {
    const a = feed('a', apps(appVersion('1.0.0')));
    const b = feed('b', apps(appVersion('9.0.0')), 10);
    assert.equal(pick([a, b], 'etcd'), 'b/etcd@9.0.0 on deb@12.1.0');
    assert.equal(pick([feed('z'), a], 'etcd'), 'a/etcd@1.0.0 on deb@12.1.0');
    assert.equal(pick([a, b], 'etcd@1'), 'a/etcd@1.0.0 on deb@12.1.0');
    assert.equal(pick([a, b], 'a/etcd'), 'a/etcd@1.0.0 on deb@12.1.0');
    assert.equal(pick([a, b], 'etcd', { feed: 'dir:/a' }), 'a/etcd@1.0.0 on deb@12.1.0');
    assert.equal(pick([a, b], 'b/etcd', { feed: 'a' }), 'b/etcd@9.0.0 on deb@12.1.0');
    assert.throws(() => pick([a, b], 'c/etcd'), failsWith('FEED_NOT_FOUND', /"c"/));
    assert.throws(() => pick([a, b], 'etcd', { feed: 'c' }), failsWith('FEED_NOT_FOUND', /"c"/));
  });

  it('says what is near when an app is not there', () => {
    const message = (act: () => unknown): string => {
      try {
        act();
      } catch (error) {
        if (error instanceof Error && 'hint' in error) return `${error.message} | ${String(error.hint)}`;
      }
      return '';
    };
    assert.throws(() => pick([feed('f')], 'ectd'), failsWith('APP_NOT_FOUND', /not in feed f/));
    assert.match(
      message(() => pick([feed('f')], 'ectd')),
      /did you mean etcd\?/,
    );
    assert.match(
      message(() => pick([feed('f')], 'postgres')),
      /trees search/,
    );
    assert.match(
      message(() => pick([], 'etcd')),
      /no feed has been added.*trees feed add/,
    );
    const other = feed('g', { apps: {} });
    assert.match(
      message(() => pick([feed('f'), other], 'g/etcd')),
      /another feed has it: f\/etcd/,
    );
    assert.throws(() => pick([feed('f')], 'constructor'), failsWith('APP_NOT_FOUND'));
  });

  it('says which versions and architectures there are', () => {
    assert.throws(() => pick([feed('f')], 'etcd@9'), failsWith('VERSION_NOT_FOUND', /etcd@9/));
    assert.throws(
      () => pick([feed('f')], 'etcd', { arch: 'riscv64' }),
      failsWith('VERSION_NOT_FOUND', /riscv64.*x86_64/),
    );
  });
});

describe('nearest', () => {
  it('finds slips of the finger and beginnings, and nothing far away', () => {
    const names = ['postgres', 'redis', 'etcd', 'nginx', 'node'];
    assert.deepEqual(nearest('postgers', names), ['postgres']);
    assert.deepEqual(nearest('ngnix', names), ['nginx']);
    assert.deepEqual(nearest('post', names), ['postgres']);
    assert.deepEqual(nearest('haproxy', names), []);
  });
});
