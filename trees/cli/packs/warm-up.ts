import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { storeCaches } from './make-caches.js';
import { packNames } from './names.js';
import { openPacks } from './packs.js';
import { cacheName, type Main } from './start.js';
import { PUBLISHED, publishDirectory } from './warm-directory.js';
import { OFFERED, serveFeed } from './warm-feed.js';
import { APP, makeStore } from './warm-store.js';

/*
 * A program of its own: warm-up.js DIRECTORY makes the caches of all packs in a directory; warm-up.js --modules FILE
 * writes which modules each group of command lines loads. It runs command lines in an empty store, as V8 puts those functions
 * into a cache that were called; the others are compiled when they are, as always.
 */

/**
 * Groups of command lines; each gets a pack for the modules that none before it has loaded.
 * @param feed words that add a feed that is served
 * @param directory words that add one in a directory
 */
const groups = (
  feed: readonly string[],
  directory: readonly string[],
): ReadonlyArray<ReadonlyArray<readonly string[]>> => [
  [['--version'], ['ls'], ['ls', '--json'], ['update']],
  [['checkout', APP, '-t', 'tree']],
  [['run', '--dry-run', APP], ['ps'], ['exec', APP, '--', 'true'], ['stop', APP], ['logs', APP], ['info', APP]],
  [
    ['feed', 'add', '--yes', ...feed],
    ['install', OFFERED],
    ['feed', 'add', '--yes', '--name=directory', ...directory],
    ['install', `directory/${PUBLISHED}`],
    ['bundle', 'create', '--repo=var/lib/trees/repo', '--to=none', '--output=bundle'],
  ],
  [['--help'], ['run', '--help'], ['feed', 'ls'], ['update', '--dry-run'], ['gc', '--dry-run'], ['config']],
];

async function warmUp(): Promise<void> {
  const [mode = '', file = ''] = process.argv.slice(2);
  const packs = openPacks(__dirname, {
    names: packNames,
    outside: require,
    load: (id) => import(id),
    cacheOf: () => undefined,
    compiling: () => undefined,
  });
  const root = mkdtempSync(join(tmpdir(), 'trees-warm-up-'));
  // Nothing of this user's is read or changed.
  for (const name of Object.keys(process.env)) if (/^(TREES|XDG|GITHUB|GH)_/.test(name)) delete process.env[name];
  Object.assign(process.env, { HOME: root, TREES_ROOT: root });
  process.chdir(root);
  // Each line adds its own.
  for (const output of [process.stdout, process.stderr]) output.setMaxListeners(0);
  // V8 forgets functions that were not called for a while.
  setFlagsFromString('--no-flush-bytecode');
  const loaded: string[][] = [];
  const feed = await serveFeed(root);
  const directory = await publishDirectory(root);
  try {
    makeStore(root);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- trees/cli/main.ts
    const { main } = packs.require('./main.js') as Main;
    for (const lines of groups(feed === undefined ? [] : [feed.url, `--key=${feed.key}`], directory)) {
      for (const line of lines) await main(line);
      loaded.push([...packs.modules.keys()]);
    }
  } finally {
    feed?.close();
    process.chdir('/');
    rmSync(root, { recursive: true, force: true });
  }
  // As it is part of what V8 compares.
  setFlagsFromString('--flush-bytecode');
  if (mode === '--modules') {
    writeFileSync(file, JSON.stringify(loaded));
  } else {
    storeCaches(mode, new Map([...packs.opened].map(([name, script]) => [cacheName(name), script.createCachedData()])));
  }
  process.exitCode = 0;
}

void warmUp();
