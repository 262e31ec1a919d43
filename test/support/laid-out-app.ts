import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunSpec } from '../../trees/run/spec.js';
import { makeRootfs } from './rootfs.js';

const zeros = '0'.repeat(64);

/**
 * What installing an app leaves behind (trees/store/generations.ts), without a feed: for tests of what comes after.
 * @param store the state directory
 * @returns the generation's directory
 */
export function layOutApp(store: string, name: string, run: RunSpec, number = 1): string {
  const generation = join(store, 'apps', name, String(number));
  mkdirSync(generation, { recursive: true });
  makeRootfs(generation);
  const record = {
    schema: 1,
    number,
    name,
    app: name,
    version: `${number}.0.0`,
    arch: 'x86_64',
    summary: '',
    feed: 'test',
    base: { name: 'box', version: '1.0.0', commit: zeros },
    layer: zeros,
    tree: zeros,
    size: 1,
    files: 1,
    installed: new Date().toISOString(),
    run,
  };
  writeFileSync(join(generation, 'generation.json'), JSON.stringify(record));
  writeFileSync(join(generation, '.in-use'), '');
  if (number === 1) symlinkSync('1', join(store, 'apps', name, 'current'));
  return generation;
}
