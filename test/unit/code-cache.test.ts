import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { encodeCache, readCache } from '../../trees/cli/packs/code-cache.js';
import { cachePlaces } from '../../trees/cli/packs/place.js';

const directory = mkdtempSync(join(tmpdir(), 'trees-code-cache-'));
after(() => rmSync(directory, { recursive: true }));
const path = join(directory, 'file.cache');
const data = Buffer.from(Array.from({ length: 20_000 }, (_, at) => (at * at) % 251));
const file = encodeCache(data);

function read(content: Buffer): Buffer | undefined {
  writeFileSync(path, content);
  return readCache(path, () => true);
}

describe('a file with a code cache', () => {
  it('gives back what was written', () => {
    assert.deepEqual(read(file), data);
    assert.deepEqual(read(encodeCache(Buffer.alloc(0))), Buffer.alloc(0));
  });

  it('is not believed with any bit flipped', () => {
    // All of the header, and places all over both copies.
    for (let at = 0; at < file.length; at += at < 16 ? 1 : 977) {
      const flipped = Buffer.from(file);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      assert.equal(read(flipped), undefined, `byte ${at}`);
    }
  });

  it('is not believed with bytes missing or too many', () => {
    for (const length of [0, 7, 15, 16, 17, 16 + data.length, file.length - 1]) {
      assert.equal(read(file.subarray(0, length)), undefined, `${length} bytes`);
    }
    assert.equal(read(Buffer.concat([file, Buffer.alloc(1)])), undefined);
  });

  it('is not believed with the same page empty in both copies', () => {
    const torn = Buffer.from(file);
    for (const copy of [16, 16 + data.length]) torn.fill(0, copy + 8192, copy + 8192 + 4096);
    assert.equal(read(torn), undefined);
  });

  it('is not read if it is no file, a link, or not trusted', () => {
    writeFileSync(path, file);
    assert.equal(
      readCache(path, () => false),
      undefined,
    );
    symlinkSync(path, join(directory, 'link.cache'));
    for (const name of ['link.cache', 'nothing.cache', '.']) {
      assert.equal(
        readCache(join(directory, name), () => true),
        undefined,
        name,
      );
    }
  });

  it('is trusted only if nobody else can write to it', () => {
    writeFileSync(path, file);
    const [installation] = cachePlaces(directory);
    const trusted = (): boolean => readCache(path, (found) => installation?.trusts(found) === true) !== undefined;
    for (const [mode, expected] of [
      [0o644, true],
      [0o600, true],
      [0o664, false],
      [0o646, false],
    ] as const) {
      chmodSync(path, mode);
      assert.equal(trusted(), expected, mode.toString(8));
    }
  });
});
