import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeRootfs } from '../../support/rootfs.js';

/** Lays out an installed app below a store's root, as installing does. @returns its tree */
export function layOutApp(root: string, name: string): string {
  const generation = join(root, 'var/lib/trees/apps', name, '1');
  mkdirSync(generation, { recursive: true });
  const rootfs = makeRootfs(generation);
  const zeros = '0'.repeat(64);
  const record = {
    schema: 1,
    number: 1,
    name,
    app: name,
    version: '1.0.0',
    arch: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
    summary: '',
    feed: 'bench',
    base: { name: 'box', version: '1.0.0', commit: zeros },
    layer: zeros,
    tree: zeros,
    size: 1,
    files: 1,
    installed: new Date().toISOString(),
    run: { exec: ['/bin/true'] },
  };
  writeFileSync(join(generation, 'generation.json'), JSON.stringify(record));
  writeFileSync(join(generation, '.in-use'), '');
  symlinkSync('1', join(generation, '..', 'current'));
  return rootfs;
}
