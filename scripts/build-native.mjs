// Builds the native parts with node-gyp: build-native.mjs [--debug] [TARGET…]
//   --debug   ASan + UBSan build into build/Debug
// One builder at a time: concurrent ones wait for a lock on build/.lock.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
const args = process.argv.slice(2);
const debug = args.includes('--debug');
const targets = args.filter((arg) => !arg.startsWith('--'));

// node-gyp would download headers otherwise; distributions ship them two levels above the binary.
const prefix = dirname(dirname(realpathSync(process.execPath)));
const nodedir = existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? [`--nodedir=${prefix}`] : [];
const missing = missingPackages();
if (missing.length > 0) {
  process.stderr.write(
    `error: cannot build the native parts: ${missing.join(', ')} not found\nhint: run ./scripts/setup-debian, or: apt-get install ${missing.join(' ')}\n`,
  );
  process.exit(1);
}

mkdirSync(join(root, 'build'), { recursive: true });
const configuration = debug ? '--debug' : '--release';
run(['configure', configuration, ...nodedir, '--', '-f', 'make']);
run(['build', configuration, ...nodedir, '--jobs', 'max', ...targets]);

// An installed package comes with code caches for the Node that it was built with; this makes those for the one here.
const starter = join(root, 'dist', 'cli', 'bin.js');
if (existsSync(starter) && targets.length === 0)
  spawnSync(process.execPath, [starter, '--version'], { stdio: 'ignore' });

function run(gypArgs) {
  const result = spawnSync('flock', [join(root, 'build', '.lock'), process.execPath, nodeGyp, '--silent', ...gypArgs], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, V: process.env.V ?? '' },
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function missingPackages() {
  const wanted = {
    'ostree-1': 'libostree-dev',
    libzstd: 'libzstd-dev',
    liblzma: 'liblzma-dev',
    libcrypto: 'libssl-dev',
  };
  if (spawnSync('pkg-config', ['--version']).status !== 0) return ['pkg-config', ...Object.values(wanted)];
  return Object.entries(wanted)
    .filter(([module]) => spawnSync('pkg-config', ['--exists', module]).status !== 0)
    .map(([, debian]) => debian);
}
