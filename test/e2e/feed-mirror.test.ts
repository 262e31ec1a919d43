import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createBuildRepo } from '../support/build-repo.js';
import { serveDirectory } from '../support/feed-server.js';
import { at } from '../support/json.js';
import { createRig, projectRoot } from '../support/rig.js';

describe('trees feed mirror', () => {
  it('makes a mirror that a web server serves and apps are installed from, however often it is killed', async () => {
    await using rig = await createRig();
    const publisher = { env: { TREES_ROOT: rig.path('publisher') } };
    const built = await createBuildRepo(rig.path('publisher/var/lib/trees'));
    const commit = await built.commit({
      kind: 'base',
      name: 'deb',
      version: '12.0.0',
      files: { 'etc/os': 'debian\n' },
    });
    const base = { name: 'deb', range: '^12', version: '12.0.0', commit };
    const release = async (version: string): Promise<void> => {
      const files = { 'usr/share/data': `data of ${version} `.repeat(20_000) };
      await built.commit({ kind: 'layer', name: 'hello', version, base, files });
      await rig.json(['release', '--to', `dir:${rig.path('feed')}`, '--key', rig.path('k.key')], publisher);
    };
    await rig.json(['key', 'generate', '-o', rig.path('k.key')]);
    await release('1.0.0');
    await using origin = await serveDirectory(rig.path('feed'));
    const target = rig.path('mirror');
    const mirror = ['feed', 'mirror', `${origin.origin}/`, target, '--key', rig.path('k.pub')];

    const planned = await rig.json([...mirror, '--dry-run']);
    await assert.rejects(stat(target));
    const made = await rig.json(mirror);
    assert.deepEqual(at(made, 'copied'), at(planned, 'copied'));
    assert.deepEqual([at(made, 'before'), at(made, 'sequence')], [null, 1]);

    await using server = await serveDirectory(target);
    await rig.json(['feed', 'add', `${server.origin}/`, '--name', 'm', '--key', rig.path('k.pub')]);
    await rig.json(['install', 'hello']);
    assert.equal(at(await rig.json(['ls']), 'apps', 0, 'version'), '1.0.0');

    await release('1.1.0');
    const binary = join(projectRoot, 'dist/cli/bin.js');
    for (const pause of [0, 1, 2]) {
      const before = origin.seen.length;
      const child = spawn(process.execPath, [binary, ...mirror], {
        env: { ...process.env, TREES_ROOT: rig.root, XDG_CONFIG_HOME: rig.path('config') },
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => {
        child.on('exit', resolve);
      });
      // Killed at the signature, at the index, at a bundle.
      origin.before = async () => {
        if (origin.seen.length > before + pause) child.kill('SIGKILL');
        await Promise.resolve();
      };
      await ended;
      origin.before = undefined;
      assert.equal(child.signalCode, 'SIGKILL');
      await rig.json(['feed', 'refresh', 'm']);
    }
    const again = await rig.json(mirror);
    assert.deepEqual([at(again, 'before'), at(again, 'sequence')], [1, 2]);
    assert.deepEqual(at(await rig.json([...mirror, '--check']), 'copied'), []);
    await rig.json(['update']);
    assert.equal(at(await rig.json(['ls']), 'apps', 0, 'version'), '1.1.0');
    await rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);
    assert.ok(!(await readdir(target)).includes('.trees-mirror'));
    const verified = await rig.json(['release', 'verify', `dir:${target}`, '--key', rig.path('k.pub')]);
    assert.deepEqual(at(verified, 'problems'), []);
  });

  it('says what is wrong', async () => {
    await using rig = await createRig();
    await writeFile(rig.path('file'), '');
    const code = async (...args: string[]): Promise<unknown> => {
      const result = await rig.trees(['feed', 'mirror', ...args, '--json']);
      assert.match(result.stderr, /^error: .+\nhint: .+/m);
      return at(JSON.parse(result.stdout), 'error', 'code');
    };
    assert.equal(await code('nobody', 'x'), 'FEED_NOT_FOUND');
    assert.equal(await code('dir:/nowhere', 'https://example.org/'), 'USAGE');
    assert.equal(await code(`dir:${rig.dir}`, '.'), 'USAGE');
    assert.equal(await code(`dir:${rig.dir}`, 'x'), 'FEED_UNTRUSTED');
  });
});
