import assert from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { at } from '../support/json.js';
import { assertSameTree, createRig, listTree, namesIn, type Rig } from '../support/rig.js';
import { createSample, type Sample } from '../support/sample.js';

const root = process.getuid?.() === 0;

describe('from a definition to a running container', {
  skip: root ? false : 'needs root: builds with real owners',
}, () => {
  let rig: Rig;
  let sample: Sample;

  before(async () => {
    rig = await createRig();
    sample = await createSample(rig);
  });
  after(() => rig[Symbol.asyncDispose]());

  const fsck = () => rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);

  it('trusts a feed by its key', async () => {
    const added = await rig.trees(['feed', 'add', sample.url, '--key', sample.publicKey]);
    assert.equal(added.status, 0, added.stderr);
    const feeds = await rig.json(['feed', 'ls']);
    assert.ok(JSON.stringify(feeds).includes(sample.url), JSON.stringify(feeds));
  });

  it('shows what it would do, and does nothing', async () => {
    const untouched = await listTree(rig.store);
    const plan = await rig.json(['install', 'hello', '--dry-run']);
    assert.equal(at(plan, 'apps', 0, 'action'), 'install');
    assert.equal(typeof at(plan, 'apps', 0, 'fetch'), 'number');
    assertSameTree(await listTree(rig.store), untouched);
  });

  it('installs in the original form: trees APP -b BASE', async () => {
    const installed = await rig.trees(['hello', '-b', 'mini']);
    assert.equal(installed.status, 0, installed.stderr);
    await fsck();
    const refs = (await rig.ostree(['refs', `--repo=${rig.repo}`])).trim().split('\n').sort();
    assert.deepEqual(refs, ['base/mini/x86_64/1.0.0', 'layer/hello/x86_64/1.0.0', 'tree/hello/1']);
  });

  it('installing again changes nothing and says so', async () => {
    const apps = await listTree(rig.path('root/var/lib/trees/apps'));
    const again = await rig.json(['install', 'hello']);
    assert.equal(at(again, 'apps', 0, 'action'), 'unchanged');
    assertSameTree(await listTree(rig.path('root/var/lib/trees/apps')), apps);
  });

  it('lists it', async () => {
    const list = await rig.json(['ls']);
    assert.equal(at(list, 'apps', 0, 'name'), 'hello');
    assert.equal(at(list, 'apps', 0, 'version'), '1.0.0');
    assert.equal(at(list, 'apps', 0, 'base', 'name'), 'mini');
    const info = await rig.trees(['info', 'hello']);
    assert.match(info.stdout, /1\.0\.0/);
  });

  it('composed layer over base: deletions, emptied directories and a file for a directory', async () => {
    const rootfs = rig.path('root/var/lib/trees/apps/hello/current/rootfs');
    const names = await namesIn(`${rootfs}/etc`);
    assert.ok(!names.includes('removed'), 'the deleted file is gone');
    assert.ok(!names.some((name) => name.startsWith('.wh.')), 'no whiteout is left');
    assert.deepEqual(await namesIn(`${rootfs}/etc/emptied`), []);
    assert.equal(await readFile(`${rootfs}/etc/replaced`, 'utf8'), 'now a file\n');
    assert.equal(await readFile(`${rootfs}/etc/kept`, 'utf8'), 'kept from 1.0.0\n');
  });

  it('the link tree is what ostree says the tree is', async () => {
    const listed = await rig.ostree(['ls', '-R', `--repo=${rig.repo}`, 'tree/hello/1']);
    const paths = listed
      .trim()
      .split('\n')
      .map((line) => line.replace(/^\S+ \d+ \d+ +\d+ /, '').replace(/ -> .*$/, ''))
      .sort();
    const { runProgram } = await import('../support/rig.js');
    const rootfs = rig.path('root/var/lib/trees/apps/hello/1/rootfs');
    const found = await runProgram('find', [rootfs, '-printf', '/%P\n']);
    assert.deepEqual(found.stdout.trim().split('\n').sort(), paths);
  });

  it('every file with content is a hard link into the repository', async () => {
    const rootfs = rig.path('root/var/lib/trees/apps/hello/1/rootfs');
    const greeting = await stat(`${rootfs}/etc/greeting`);
    assert.ok(greeting.nlink >= 2, 'shares its inode with the object');
    const { runProgram } = await import('../support/rig.js');
    const single = await runProgram('find', [rootfs, '-type', 'f', '-size', '+0', '-links', '1']);
    assert.equal(single.stdout, '');
  });

  it('runs its command', async () => {
    const run = await rig.trees(['run', 'hello']);
    assert.deepEqual([run.status, run.stdout], [0, 'hello, world\n'], run.stderr);
  });

  for (const [title, command, status, stderr] of [
    ['exit 42', ['sh', '-c', 'exit 42'], 42, /^$/],
    ['ended by TERM', ['sh', '-c', 'kill -TERM $$'], 143, /^$/],
    ['ended by KILL', ['sh', '-c', 'kill -KILL $$'], 137, /^$/],
    ['not found', ['/no/such'], 127, /\/no\/such/],
    ['not in PATH', ['nosuchprogram'], 127, /nosuchprogram/],
    ['not executable', ['/etc/kept'], 126, /\/etc\/kept/],
  ] as const) {
    it(`exit status: ${title} gives ${status}`, async () => {
      const run = await rig.trees(['run', 'hello', '--', ...command]);
      assert.equal(run.status, status, run.stderr);
      assert.match(run.stderr.trim(), stderr);
    });
  }

  it('an unknown option of run gives 125, of another command 2', async () => {
    const run = await rig.trees(['run', 'hello', '--bogus']);
    const list = await rig.trees(['ls', '--bogus']);
    assert.deepEqual([run.status, list.status], [125, 2]);
    for (const result of [run, list]) {
      assert.equal(result.stdout, '');
      assert.match(result.stderr, /^error: .*bogus/m);
      assert.match(result.stderr, /^hint: /m);
    }
  });

  it('what the app writes stays out of the store', async () => {
    const before = await rig.ostree(['rev-parse', `--repo=${rig.repo}`, 'tree/hello/1']);
    const run = await rig.trees(['run', 'hello', '--', 'sh', '-c', 'echo changed > /etc/kept; cat /etc/kept']);
    assert.equal(run.stdout, 'changed\n', run.stderr);
    await fsck();
    assert.equal(await rig.ostree(['rev-parse', `--repo=${rig.repo}`, 'tree/hello/1']), before);
    const kept = rig.path('root/var/lib/trees/apps/hello/1/rootfs/etc/kept');
    assert.equal(await readFile(kept, 'utf8'), 'kept from 1.0.0\n');
  });

  it('checks out onto a directory and leaves what is there', async () => {
    const target = rig.path('target');
    await mkdir(`${target}/etc`, { recursive: true });
    await writeFile(`${target}/mine`, 'mine\n');
    await writeFile(`${target}/etc/kept`, 'mine too\n');
    const co = await rig.trees(['co', 'hello', '-t', target]);
    assert.equal(co.status, 0, co.stderr);
    assert.equal(await readFile(`${target}/mine`, 'utf8'), 'mine\n');
    assert.equal(await readFile(`${target}/etc/kept`, 'utf8'), 'mine too\n');
    assert.equal(await readFile(`${target}/etc/greeting`, 'utf8'), 'hello\n');
    assert.equal((await stat(`${target}/etc/greeting`)).nlink > 1, true);
  });

  it('installs under another name, sharing everything', async () => {
    const second = await rig.json(['install', 'hello', '-n', 'second']);
    assert.equal(at(second, 'apps', 0, 'name'), 'second');
    assert.equal(at(second, 'apps', 0, 'fetched'), 0);
    const run = await rig.trees(['run', 'second']);
    assert.equal(run.stdout, 'hello, world\n', run.stderr);
  });

  it('takes a new version as a new generation', async () => {
    await sample.writeApp({ version: '1.1.0', greeting: 'good day' });
    await sample.publish();
    const installed = await rig.json(['install', 'hello']);
    assert.equal(at(installed, 'apps', 0, 'version'), '1.1.0');
    assert.equal(at(installed, 'apps', 0, 'generation'), 2);
    const run = await rig.trees(['run', 'hello']);
    assert.equal(run.stdout, 'good day, world\n', run.stderr);
    await fsck();
  });

  it('clears and installs again with -f', async () => {
    const forced = await rig.trees(['hello', '-f']);
    assert.equal(forced.status, 0, forced.stderr);
    const run = await rig.trees(['run', 'hello']);
    assert.equal(run.stdout, 'good day, world\n', run.stderr);
  });

  it('removes both and leaves nothing in the repository', async () => {
    for (const name of ['second', 'hello']) {
      const removed = await rig.trees([name, '-d']);
      assert.equal(removed.status, 0, removed.stderr);
      await fsck();
    }
    assert.equal((await rig.ostree(['refs', `--repo=${rig.repo}`])).trim(), '');
    const { runProgram } = await import('../support/rig.js');
    const objects = await runProgram('find', [`${rig.repo}/objects`, '-type', 'f']);
    assert.equal(objects.stdout, '');
    assert.deepEqual(at(await rig.json(['ls']), 'apps'), []);
  });

  it('installs what is missing when it is to run', async () => {
    const run = await rig.trees(['run', 'hello', '--', 'cat', '/etc/greeting']);
    assert.deepEqual([run.status, run.stdout], [0, 'good day\n'], run.stderr);
  });
});
