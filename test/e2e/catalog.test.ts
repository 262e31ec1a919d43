import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { createBuildRepo } from '../support/build-repo.js';
import { createRig, type Rig } from '../support/rig.js';

const BROWSER = 'chromium-headless-shell';

/** Loads a page. That it needs no JavaScript is clear from what it holds: no script, and a policy that allows none. */
async function browse(page: string, ...args: readonly string[]): Promise<string> {
  const common = ['--no-sandbox', '--no-zygote', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'];
  const { stdout } = await promisify(execFile)(BROWSER, [...common, ...args, pathToFileURL(page).href], {
    timeout: 120_000,
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout;
}

/** Width and height from the header of a PNG file (its IHDR chunk comes first). */
function dimensions(png: Buffer): [number, number] {
  assert.equal(png.toString('latin1', 1, 4), 'PNG');
  return [png.readUInt32BE(16), png.readUInt32BE(20)];
}

describe('trees release catalog', () => {
  let rig: Rig;
  let page: string;

  before(async () => {
    rig = await createRig();
    const built = await createBuildRepo(rig.path('publisher/var/lib/trees'));
    const commit = await built.commit({ kind: 'base', name: 'deb', version: '12.9.0', files: { 'etc/os': 'deb' } });
    const base = { name: 'deb', range: '^12', version: '12.9.0', commit };
    const files = { 'usr/bin/hello': '#!/bin/sh\necho hello\n' };
    await built.commit({ kind: 'layer', name: 'hello', version: '1.0.0', base, files });
    for (const args of [
      ['key', 'generate', '-o', rig.path('k.key')],
      ['release', '--to', `dir:${rig.path('feed')}`, '--key', rig.path('k.key')],
    ]) {
      const result = await rig.trees(args, { env: { TREES_ROOT: rig.path('publisher') } });
      assert.equal(result.status, 0, result.stderr);
    }
    page = rig.path('public', 'index.html');
  });
  after(async () => await rig[Symbol.asyncDispose]());

  it('writes a page that shows the feed, its key and its apps, without a script', async () => {
    const feed = `dir:${rig.path('feed')}`;
    const options = ['--key', rig.path('k.pub'), '--title', 'My <apps>', '-o', rig.path('public'), '--json'];
    const result = await rig.trees(['release', 'catalog', feed, ...options]);
    assert.equal(result.status, 0, result.stderr);
    const document: unknown = JSON.parse(result.stdout);
    assert.equal(Reflect.get(Object(document), 'path'), page);
    const dom = await browse(page, '--dump-dom');
    assert.match(dom, /<title>My &lt;apps&gt;<\/title>/);
    assert.match(dom, /<article id="hello">/);
    assert.match(dom, /trees install hello/);
    assert.match(dom, /SHA256:/);
    assert.doesNotMatch(dom, /<script|https?:\/\//);
    assert.match(dom, /Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/);
  });

  for (const [device, width, height] of [
    ['a desktop', 1280, 1000],
    ['a phone', 412, 900],
  ] as const) {
    it(`is laid out on ${device}`, async () => {
      const shot = rig.path(`${width}.png`);
      await browse(page, `--window-size=${width},${height}`, `--screenshot=${shot}`);
      assert.deepEqual(dimensions(await readFile(shot)), [width, height]);
      // An empty page of this size takes a few kB.
      assert.ok((await stat(shot)).size > 20_000);
    });
  }

  it('refuses a feed that another key has signed, and writes nothing', async () => {
    await rig.trees(['key', 'generate', '-o', rig.path('other.key')]);
    const options = ['--key', rig.path('other.pub'), '-o', rig.path('nowhere'), '--json'];
    const result = await rig.trees(['release', 'catalog', `dir:${rig.path('feed')}`, ...options]);
    assert.equal(result.status, 1);
    assert.match(result.stdout, /"FEED_UNTRUSTED"|"SIGNATURE_INVALID"/);
    await assert.rejects(stat(rig.path('nowhere')));
  });
});
