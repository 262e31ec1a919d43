import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readSignedIndex } from '../../releases/feed-to-read.js';
import { generateKeyPair, readSecretKey } from '../../releases/key-file.js';
import { verifyFeed } from '../../releases/verify.js';
import { openFeed } from '../../trees/feed/open.js';
import { silentReporter } from '../../trees/reporter.js';
import { createBuildRepo } from '../support/build-repo.js';
import type { Repository } from '../support/fake-github.js';
import { createGithubFixture, FEED } from '../support/github-publisher.js';
import { program } from '../support/release-publisher.js';
import { projectRoot, runProgram } from '../support/rig.js';

/** What a release consists of, as the server has it. */
function describeReleases({ releases }: Repository): string[] {
  return [...releases.values()].map(
    ({ tag, draft, assets }) =>
      `${tag} ${draft ? 'draft' : 'out'} ${[...assets.values()].map(({ state }) => state).join()}`,
  );
}

function copyRepository(from: Repository, name: string): Repository {
  const releases = [...from.releases].map(
    ([id, release]) => [id, { ...release, assets: new Map(release.assets) }] as const,
  );
  const { refs, commits, trees } = from;
  return {
    ...from,
    name,
    refs: new Map(refs),
    commits: new Map(commits),
    trees: new Set(trees),
    releases: new Map(releases),
  };
}

describe('a publisher that is killed', () => {
  it('leaves readers with a whole feed, and ends with one correct release when it is run again', {
    timeout: 600_000,
  }, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'trees-kill-'));
    let child: ChildProcess | undefined;
    let left = Number.POSITIVE_INFINITY;
    await using fixture = await createGithubFixture({
      validate: false,
      onRequest: async ({ method }) => {
        if (method === 'GET') return;
        left -= 1;
        if (left > 0 || child === undefined) return;
        left = Number.POSITIVE_INFINITY;
        child.kill('SIGKILL');
        await once(child, 'close');
      },
    });
    try {
      const { github, env, repository } = fixture;
      const key = join(dir, 'k.key');
      await generateKeyPair({ secret: key, public: join(dir, 'k.pub') }, { force: false });
      const { public: trusted } = await readSecretKey(key);
      const prepared = join(dir, 'prepared');
      const built = await createBuildRepo(join(prepared, 'var/lib/trees'));
      const base = await built.commit({ kind: 'base', name: 'deb', version: '12.0.0', files: { os: 'debian\n' } });
      const on = { name: 'deb', range: '^12', version: '12.0.0', commit: base };
      const build = async (version: string) =>
        await built.commit({ kind: 'layer', name: 'etcd', version, base: on, files: { 'bin/etcd': program(version) } });
      const line = (root: string, feed: string): string[] => [
        join(projectRoot, 'dist/cli/bin.js'),
        '--root',
        root,
        'release',
        '--to',
        `github:${FEED.owner}/${feed}`,
        '--key',
        key,
        '--keep',
        '1',
      ];
      const publish = async (root: string, feed: string): Promise<void> => {
        const { status, stderr } = await runProgram(process.execPath, line(root, feed), { env });
        assert.equal(status, 0, stderr);
      };
      const sound = new Set<string>();
      /** Bundles of the same bytes are applied once: after most kills a feed is what it was after another one. */
      const read = async (feed: string) => {
        const opened = openFeed(`github:${FEED.owner}/${feed}`, { github: { server: github.server, api: github.api } });
        const { index } = await readSignedIndex(opened, { keys: [trusted], now: new Date() });
        const releases = [...(github.world.repositories.get(`${FEED.owner}/${feed}`)?.releases.values() ?? [])];
        for (const { file, release, sha256 } of index.bundles) {
          const assets = [...(releases.find(({ tag, draft }) => tag === release && !draft)?.assets.values() ?? [])];
          const found = assets.find(({ name, state }) => name === file && state === 'uploaded');
          assert.equal(found?.sha256, sha256, `${file} of ${release}`);
        }
        const { bases, apps, bundles } = index;
        const content = JSON.stringify([bases, apps, bundles]);
        if (sound.has(content)) return { index, problems: [] };
        const verified = await verifyFeed(opened, { keys: [trusted], now: new Date(), reporter: silentReporter });
        if (verified.problems.length === 0) sound.add(content);
        return verified;
      };
      await build('3.5.0');
      await publish(prepared, FEED.repo);
      await build('3.6.0');
      await publish(prepared, FEED.repo);
      await build('3.7.0');

      let kills = 0;
      for (let at = 1; ; at += 1) {
        const name = `feed-${at}`;
        const copied = copyRepository(repository, name);
        github.world.repositories.set(`${FEED.owner}/${name}`, copied);
        const root = join(dir, name);
        await cp(prepared, root, { recursive: true });
        left = at;
        child = spawn(process.execPath, line(root, name), { env: { ...process.env, ...env }, stdio: 'ignore' });
        const [status] = await once(child, 'close');
        child = undefined;
        if (status !== null) {
          assert.equal(status, 0);
          break;
        }
        kills += 1;
        const between = await read(name);
        assert.deepEqual(between.problems, [], `after kill ${at}: ${describeReleases(copied).join('; ')}`);
        assert.ok([2, 3].includes(between.index.sequence));
        await publish(root, name);
        const { index, problems } = await read(name);
        assert.deepEqual(problems, [], `again after kill ${at}`);
        assert.equal(index.sequence, 3, `again after kill ${at}`);
        assert.deepEqual(
          index.apps['etcd']?.versions.map(({ version }) => version),
          ['3.7.0'],
        );
        const releases = [...copied.releases.values()];
        const context = `after kill ${at}: ${describeReleases(copied).join('; ')}`;
        assert.equal(releases.filter(({ draft }) => draft).length, 0, context);
        assert.equal(releases.filter(({ tag }) => tag === 'index-3').length, 1, context);
        const newest = releases.find(({ tag }) => tag === 'index-3');
        const files = [...(newest?.assets.values() ?? [])].map((asset) => asset.name).sort();
        const bundles = index.bundles.filter(({ release }) => release === 'index-3').map(({ file }) => file);
        assert.deepEqual(files, [...bundles, 'index.json', 'index.json.minisig', 'trees.pub'].sort(), context);
        await rm(root, { recursive: true });
      }
      assert.ok(kills >= 12, `${kills} kills`);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});
