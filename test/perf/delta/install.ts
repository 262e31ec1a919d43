/** Installing a base and a layer from local bundles, against the stock tools and against unpacking an archive. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeCommand } from './bundles.js';
import type { Cache } from './cache.js';
import { openPlace, type Place, prepareFeed, rootfsOf } from './feeds.js';
import { builtCommits, type TreeName } from './fixtures.js';
import { type Cost, measure, ostree, run, shell, trees } from './programs.js';
import { median, type Turn, takeTurns, turn } from './rounds.js';
import { atLeast, atMost, type Family, type Row, seconds } from './table.js';

interface Subject {
  readonly app: string;
  readonly base: TreeName;
  readonly layer: TreeName;
}

const subjects: readonly Subject[] = [
  { app: 'plain-etcd', base: 'base', layer: 'etcd' },
  { app: 'etcd', base: 'deb', layer: 'deb-etcd' },
];

const ROUNDS = 5;

/** @param repo of `prepareTrees` */
export function installFamilies(cache: Cache, repo: string): Family[] {
  return [
    {
      name: 'install-tmpfs',
      summary: 'install a base and etcd from local bundles on tmpfs, against stock ostree',
      minutes: 2,
      measure: async (tell) => {
        for (const subject of subjects) tell(await onTmpfs(cache, repo, subject));
      },
    },
    {
      name: 'install-disk',
      summary: 'the same on disk, against zstd -d | tar -x and syncing the file system',
      minutes: 2,
      measure: async (tell) => {
        for (const subject of subjects) tell(await onDisk(cache, subject));
      },
    },
  ];
}

/** The feed that has what the benchmark installs. */
export async function installFeed(cache: Cache): Promise<string> {
  return await prepareFeed(cache, 'feed', ['plain-etcd', 'etcd']);
}

const wall = ({ samples }: Turn<Cost>): number => median(samples.map((cost) => cost.seconds));
const show = (turns: Turn<Cost>): string =>
  `${seconds(wall(turns))} (${seconds(median(turns.samples.map(({ cpu }) => cpu)))} CPU)`;

async function onTmpfs(cache: Cache, repo: string, subject: Subject): Promise<Row> {
  const { app, base, layer } = subject;
  const deltas = await stockDeltas(cache, repo, subject);
  using place = await openPlace('/dev/shm', await installFeed(cache));
  run(['cp', '--recursive', deltas, place.path('deltas')]);
  const store = place.path('stock');
  const ours = turn(() => measure(trees(place.newStore(), 'install', app)));
  const stock = turn(() => {
    rmSync(store, { recursive: true, force: true });
    ostree('init', `--repo=${store}`, '--mode=bare');
    return measure(shell(STOCK_INSTALL, store, place.path('deltas'), ref(repo, base), ref(repo, layer)));
  });
  await takeTurns([ours, stock], { rounds: ROUNDS });
  sameTree(place, app, join(store, 'tree'));
  return {
    what: `install ${app} on tmpfs: times faster`,
    ours: show(ours),
    peer: `${show(stock)} stock`,
    value: wall(stock) / wall(ours),
    unit: ' ×',
    bar: atLeast(5),
  };
}

/** Repository, directory of the deltas, the two commits; the tree appears inside the repository. */
const STOCK_INSTALL = `
ostree static-delta apply-offline --repo="$1" "$2/base"
ostree static-delta apply-offline --repo="$1" "$2/layer"
ostree checkout --repo="$1" -H "$3" "$1/tree"
ostree checkout --repo="$1" -H --union "$4" "$1/tree"`;

const ref = (repo: string, name: TreeName): string => ostree('rev-parse', `--repo=${repo}`, name).trim();

/** The stock tool's own deltas of what is installed. */
async function stockDeltas(cache: Cache, repo: string, { app, base, layer }: Subject): Promise<string> {
  const of = [...builtCommits(cache.path('built')).values()].join(' ');
  return await cache.once(`stock-${app}`, of, (directory) => {
    run(['mkdir', directory]);
    run(makeCommand(repo, { to: base }, { kind: 'stock', output: join(directory, 'base') }));
    run(makeCommand(repo, { from: base, to: layer }, { kind: 'stock', output: join(directory, 'layer') }));
  });
}

/** Both must have done the same. @throws Error naming what differs */
function sameTree(place: Place, app: string, other: string): void {
  run(['diff', '--recursive', '--brief', '--no-dereference', rootfsOf(place.path('store'), app), other]);
}

async function onDisk(cache: Cache, { app }: Subject): Promise<Row> {
  const feed = await installFeed(cache);
  using place = await openPlace(cache.dir, feed);
  const archive = await contentArchive(cache, place, app);
  const target = place.path('unpacked');
  const settle = (): void => {
    run(['sync', '--file-system', cache.dir]);
  };
  const ours = turn(() => {
    const store = place.newStore();
    settle();
    return measure(trees(store, 'install', app));
  });
  const floor = turn(() => {
    rmSync(target, { recursive: true, force: true });
    run(['mkdir', target]);
    settle();
    return measure(shell('zstd -dcq "$1" | tar -x -C "$2"; sync --file-system "$2"', archive, target));
  });
  await takeTurns([ours, floor], { rounds: ROUNDS });
  sameTree(place, app, target);
  return {
    what: `install ${app} on disk: time to the floor`,
    ours: show(ours),
    peer: `${show(floor)} unpacking, sync`,
    value: wall(ours) / wall(floor),
    unit: ' ×',
    bar: atMost(1.3),
  };
}

/** What the installed tree holds, as one archive compressed like a bundle. */
async function contentArchive(cache: Cache, place: Place, app: string): Promise<string> {
  const of = [...builtCommits(cache.path('built')).values()].join(' ');
  return await cache.once(`${app}.tar.zst`, of, (archive) => {
    const store = place.newStore();
    run(trees(store, 'install', app));
    run(shell('tar -c -C "$1" . | zstd -q -19 -T0 -o "$2"', rootfsOf(store, app), archive));
  });
}

/** A store on tmpfs with one app installed, for measuring what comes after. */
export async function installedPlace(feed: string, app: string): Promise<Place & { readonly store: string }> {
  const place = await openPlace('/dev/shm', feed);
  const store = place.newStore();
  run(trees(store, 'install', app));
  return { ...place, store };
}
