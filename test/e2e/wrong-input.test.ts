import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { assertSameTree, createRig, listTree, type Rig, type RunOptions } from '../support/rig.js';
import { createSample, type Sample } from '../support/sample.js';

const root = process.getuid?.() === 0;

/** Checks the error form of the contract, on stderr and as `--json`, and that the store was not touched. */
async function refused(
  rig: Rig,
  args: readonly string[],
  expected: { code: string; status?: number; message: RegExp },
  options: RunOptions = {},
): Promise<void> {
  const untouched = await listTree(rig.root);
  const result = await rig.trees([...args, '--json'], options);
  assert.equal(result.status, expected.status ?? 1, result.stderr);
  assert.match(result.stderr, /^error: .+/m);
  assert.match(result.stderr, /^hint: .+/m);
  assert.match(result.stderr, expected.message);
  const document: unknown = JSON.parse(result.stdout);
  assert.equal(Reflect.get(Object(Reflect.get(Object(document), 'error')), 'code'), expected.code);
  assertSameTree(await listTree(rig.root), untouched);
}

describe('wrong input is refused and changes nothing', {
  skip: root ? false : 'needs root: builds with real owners',
}, () => {
  let rig: Rig;
  let sample: Sample;

  before(async () => {
    rig = await createRig();
    sample = await createSample(rig);
    const added = await rig.trees(['feed', 'add', sample.url, '--key', sample.publicKey]);
    assert.equal(added.status, 0, added.stderr);
    const installed = await rig.trees(['hello']);
    assert.equal(installed.status, 0, installed.stderr);
  });
  after(() => rig[Symbol.asyncDispose]());

  it('unknown app, with the near name', () =>
    refused(rig, ['install', 'helo'], { code: 'APP_NOT_FOUND', message: /helo[\s\S]*hello/ }));
  it('unknown app in the original form', () =>
    refused(rig, ['nosuch', '-b', 'mini'], { code: 'APP_NOT_FOUND', message: /nosuch/ }));
  it('unknown base', () => refused(rig, ['hello', '-b', 'gentoo'], { code: 'BASE_NOT_FOUND', message: /gentoo/ }));
  it('a version that is not offered', () =>
    refused(rig, ['install', 'hello@^9'], { code: 'VERSION_NOT_FOUND', message: /\^9/ }));
  it('a range that is none', () =>
    refused(rig, ['install', 'hello@wat'], { code: 'USAGE', status: 2, message: /wat/ }));
  it('removing what is not installed', () =>
    refused(rig, ['rm', 'nosuch'], { code: 'APP_NOT_INSTALLED', message: /nosuch/ }));
  it('a feed that does not exist', () =>
    refused(rig, ['feed', 'add', `dir:${rig.path('nowhere')}`, '--key', sample.publicKey], {
      code: 'FEED_UNREACHABLE',
      message: /nowhere/,
    }));
  it('a URL that is none', () =>
    refused(rig, ['feed', 'add', 'ftp://example.test/x'], { code: 'USAGE', status: 2, message: /ftp/ }));
  it('a key file that is none', () =>
    refused(rig, ['feed', 'add', sample.url, '--name', 'other', '--key', '/etc/passwd'], {
      code: 'KEY_INVALID',
      message: /\/etc\/passwd/,
    }));
  it('no argument where one is needed', () =>
    refused(rig, ['install'], { code: 'USAGE', status: 2, message: /app|non-option/i }));
  it('an empty path, which would be the working directory', () =>
    refused(rig, ['co', 'hello', '-t', ''], { code: 'USAGE', status: 2, message: /--target/ }));
  it('an empty number, which would be 0', () =>
    refused(rig, ['gc', '--keep', ''], { code: 'USAGE', status: 2, message: /--keep/ }));
  it('removing from another base than it is on', () =>
    refused(rig, ['hello', '-d', '-b', 'other'], { code: 'BASE_NOT_FOUND', message: /other.*mini/ }));
  it('no command', () => refused(rig, [], { code: 'USAGE', status: 2, message: /command/ }));
  it('a directory for a settings file', () =>
    refused(rig, ['ls', '--config', sample.feed], { code: 'CONFIG_INVALID', message: /feed/ }));

  it('help and version are one document, too, with --json', async () => {
    for (const args of [['--help'], ['--version'], ['feed', '--help'], ['help', 'ls'], ['co', '--help']]) {
      const result = await rig.trees([...args, '--json']);
      assert.equal(result.status, 0, result.stderr);
      assert.equal(typeof JSON.parse(result.stdout), 'object');
    }
  });

  it('no room for a key leaves none, and nothing in the way of the next try', async () => {
    const secret = rig.path('big.key');
    const bin = join(import.meta.dirname, '../../dist/cli/bin.js');
    const limited = ['--fsize=10', process.execPath, bin, 'key', 'generate', '-o', secret];
    const result = spawnSync('prlimit', limited, { encoding: 'utf8' });
    assert.equal(result.status, 1, result.stderr);
    assert.match(result.stderr, /^error: cannot write: file too large/m);
    assert.equal((await rig.trees(['key', 'generate', '-o', secret])).status, 0);
  });

  it('an unknown setting in the environment', () =>
    refused(rig, ['ls'], { code: 'CONFIG_INVALID', message: /TREES_SCOPE/ }, { env: { TREES_SCOPE: 'galaxy' } }));

  it('a base that does not satisfy the range', async () => {
    await sample.writeApp({ version: '1.2.0', greeting: 'hi', range: '^7' });
    const built = await rig.trees(['build', 'hello', '--definitions', sample.definitions], {
      env: { TREES_ROOT: sample.publisher },
    });
    assert.equal(built.status, 1);
    assert.match(built.stderr, /\^7/);
    assert.match(built.stderr, /^hint: /m);
  });

  describe('an index that', () => {
    const other = () => rig.path('other-feed');
    const index = () => `${other()}/index.json`;
    const add = (key: string) => ['feed', 'add', `dir:${other()}`, '--name', 'other', '--key', key];
    beforeEach(() => cp(sample.feed, other(), { recursive: true }));
    afterEach(() => rm(other(), { recursive: true }));

    it('is not signed', async () => {
      await rm(`${index()}.minisig`);
      await refused(rig, add(sample.publicKey), { code: 'FEED_UNTRUSTED', message: /sign/ });
    });

    it('was tampered with', async () => {
      const text = await readFile(index(), 'utf8');
      await writeFile(index(), text.replace('says hello', 'says hullo'));
      await refused(rig, add(sample.publicKey), { code: 'SIGNATURE_INVALID', message: /sign/ });
    });

    it('is signed by another key', async () => {
      const made = await rig.trees(['key', 'generate', '-o', rig.path('other.key')]);
      assert.equal(made.status, 0, made.stderr);
      await refused(rig, add(rig.path('other.pub')), { code: 'FEED_UNTRUSTED', message: /key/ });
    });

    it('has a key that nobody confirmed', () =>
      refused(rig, ['feed', 'add', `dir:${other()}`, '--name', 'other'], {
        code: 'NOT_CONFIRMED',
        message: /key|fingerprint/,
      }));

    it('cannot be parsed', async () => {
      await writeFile(index(), '{');
      await refused(rig, add(sample.publicKey), { code: 'SIGNATURE_INVALID', message: /sign/ });
    });
  });

  it('a bundle that was damaged', async () => {
    await sample.writeApp({ version: '1.3.0', greeting: 'damaged' });
    await sample.publish();
    const files = (await import('node:fs/promises')).readdir;
    for (const file of await files(sample.feed)) {
      if (!file.endsWith('.zst')) continue;
      const path = `${sample.feed}/${file}`;
      const bytes = await readFile(path);
      bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
      await writeFile(path, bytes);
    }
    const result = await rig.trees(['install', 'hello', '--json']);
    assert.equal(result.status, 1, result.stdout);
    assert.match(result.stderr, /^error: .*(SHA-256)/im);
    const list = await rig.trees(['run', 'hello']);
    assert.equal(list.stdout, 'hello, world\n', 'the old generation still runs');
    await rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);
  });

  it('a root that cannot be written', async () => {
    const file = rig.path('a-file');
    await writeFile(file, '');
    const add = ['feed', 'add', sample.url, '--key', sample.publicKey];
    const result = await rig.trees(add, { env: { TREES_ROOT: file } });
    assert.equal(result.status, 1);
    assert.match(result.stderr, /a-file/);
    assert.match(result.stderr, /^hint: /m);
  });

  it('a root that holds something else', async () => {
    const foreign = rig.path('foreign');
    await mkdir(`${foreign}/var/lib/trees/repo`, { recursive: true });
    await writeFile(`${foreign}/var/lib/trees/repo/config`, 'not an ostree repository\n');
    const result = await rig.trees(['feed', 'add', sample.url, '--key', sample.publicKey], {
      env: { TREES_ROOT: foreign },
    });
    const installed = await rig.trees(['install', 'hello'], { env: { TREES_ROOT: foreign } });
    assert.ok(result.status === 1 || installed.status === 1);
    assert.match(result.stderr + installed.stderr, /^error: .*foreign/m);
  });

  it('a store that another trees is changing', async () => {
    const { open } = await import('node:fs/promises');
    const { tryFlock } = await import('../../trees/system/index.js');
    await using holder = await open(`${rig.store}/locks/app-hello.lock`, 'a+');
    assert.equal(tryFlock(holder.fd, 'exclusive'), true);
    const result = await rig.trees(['install', 'hello', '-f', '--json'], { env: { TREES_LOCK_TIMEOUT: '0.2' } });
    assert.equal(result.status, 1, result.stderr);
    assert.match(result.stdout, /"LOCKED"/);
    assert.match(result.stderr, /^error: .*hello/m);
  });

  it('and a repository that lost an object names the command that mends it', async () => {
    await rename(`${rig.repo}/objects`, `${rig.repo}/objects.gone`);
    try {
      const result = await rig.trees(['install', 'hello', '-n', 'copy', '--json']);
      assert.equal(result.status, 1);
      assert.match(result.stderr, /^hint: /m);
    } finally {
      await rm(`${rig.repo}/objects`, { recursive: true, force: true });
      await rename(`${rig.repo}/objects.gone`, `${rig.repo}/objects`);
    }
  });
});
