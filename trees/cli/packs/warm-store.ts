import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the app in there is called. */
export const APP = 'warm';

/** Makes a store for `--root root` that holds just enough for commands to get far: one app, as if from a file. */
export function makeStore(root: string): void {
  const store = join(root, 'var/lib/trees');
  const rootfs = join(store, 'apps', APP, '1/rootfs');
  for (const directory of ['bin', 'etc', 'tmp']) mkdirSync(join(rootfs, directory), { recursive: true });
  writeFileSync(join(rootfs, 'bin/sh'), '', { mode: 0o755 });
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  symlinkSync('1', join(store, 'apps', APP, 'current'));
  const sum = '0'.repeat(64);
  writeJson(join(store, 'apps', APP, '1/generation.json'), {
    schema: 1,
    number: 1,
    name: APP,
    app: APP,
    version: '1.0.0',
    arch: 'amd64',
    summary: '',
    feed: '',
    base: { name: 'none', version: '0.0.0', commit: sum },
    layer: sum,
    tree: sum,
    size: 1,
    files: 1,
    installed: new Date(0).toISOString(),
    run: { exec: ['sh'] },
  });
  writeJson(join(store, '.up-to-date.json'), {
    schema: 1,
    until: new Date(8.64e15).toISOString(),
    apps: { [APP]: [1, null, ''] },
    feeds: {},
  });
  const repo = join(store, 'repo');
  for (const directory of ['objects', 'tmp', 'state', 'refs/heads', 'refs/mirrors', 'refs/remotes']) {
    mkdirSync(join(repo, directory), { recursive: true });
  }
  const mode = process.geteuid?.() === 0 ? 'bare' : 'bare-user';
  writeFileSync(join(repo, 'config'), `[core]\nrepo_version=1\nmode=${mode}\n`);
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, JSON.stringify(value));
}
