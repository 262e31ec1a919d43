/** What is done with an installed app: checking it out, and finding that it is up to date. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Cache } from './cache.js';
import { prepareQuickFeed, rootfsOf } from './feeds.js';
import { installedPlace, installFeed } from './install.js';
import { type Command, type Cost, measure, ostree, run, trees } from './programs.js';
import { median, type Turn, takeTurns, turn } from './rounds.js';
import { atMost, type Family, seconds } from './table.js';

/** @param repo of `prepareTrees` */
export function installedFamilies(cache: Cache, repo: string): Family[] {
  return [
    {
      name: 'checkout',
      summary: 'trees checkout -t against cp -al, on tmpfs',
      minutes: 1,
      measure: async (tell) => {
        using place = await installedPlace(await manyFiles(cache, repo), 'many');
        const rootfs = rootfsOf(place.store, 'many');
        const files = run(['find', rootfs, '!', '-type', 'd', '-printf', '.']).length;
        const target = place.path('target');
        const into = (command: Command): Turn<Cost> =>
          turn(() => {
            rmSync(target, { recursive: true, force: true });
            return measure(command);
          });
        const whole = into(trees(place.store, 'checkout', 'many', `--target=${target}`));
        const copying = into(['cp', '-al', rootfs, target]);
        const starting = turn(() => measure([process.execPath, '-e', '0']));
        await takeTurns([whole, copying, starting], { rounds: 15 });
        const [ours, copy, node] = [wall(whole), wall(copying), wall(starting)];
        const common = { unit: ' ×', bar: atMost(1.2), peer: `${seconds(copy)} cp -al` };
        const what = `checkout of ${files} files`;
        tell({ ...common, what: `${what}, whole command`, ours: seconds(ours), value: ours / copy });
        const net = ours - node;
        tell({ ...common, what: `${what}, without starting Node`, ours: seconds(net), value: net / copy });
      },
    },
    {
      name: 'update',
      summary: 'trees update when nothing changed, against trees ls',
      minutes: 1,
      measure: async (tell) => {
        using place = await installedPlace(await installFeed(cache), 'plain-etcd');
        const update = trees(place.store, 'update');
        const updating = turn(() => measure(update));
        const listing = turn(() => measure(trees(place.store, 'ls')));
        await takeTurns([updating, listing], { rounds: 31, warm: 3 });
        const [ours, list] = [wall(updating), wall(listing)];
        tell({
          what: 'update, nothing changed: beyond trees ls',
          ours: seconds(ours),
          peer: `${seconds(list)} trees ls`,
          value: (ours - list) * 1000,
          unit: ' ms',
          bar: atMost(5),
        });
        tell({
          what: 'update, nothing changed: objects opened',
          ours: '',
          peer: 'counted by strace',
          value: objectsOpened(update, place.path('trace')),
          unit: '',
          bar: atMost(0),
        });
      },
    },
  ];
}

/** A feed with an app of about 10,000 files: Debian with a web server. */
async function manyFiles(cache: Cache, repo: string): Promise<string> {
  const of = ['base', 'web'].map((name) => ostree('rev-parse', `--repo=${repo}`, name).trim()).join(' ');
  return await prepareQuickFeed(cache, {
    app: 'many',
    of,
    fill: (directory) => {
      ostree('checkout', `--repo=${repo}`, '-H', 'base', directory);
      ostree('checkout', `--repo=${repo}`, '-H', '--union', 'web', directory);
    },
  });
}

const wall = ({ samples }: Turn<Cost>): number => median(samples.map((cost) => cost.seconds));

/** Number of system calls of a command and its children that name something below `repo/objects`. */
function objectsOpened(command: Command, output: string): number {
  run(['strace', '-qq', '--follow-forks', '--output-separately', '--trace=%file', `--output=${output}`, ...command]);
  const directory = join(output, '..');
  const traces = readdirSync(directory).filter((name) => name.startsWith('trace.'));
  const lines = traces.flatMap((name) => readFileSync(join(directory, name), 'utf8').split('\n'));
  if (!lines.some((line) => line.includes('generation.json'))) {
    throw new Error('Expected the trace to show how the generation is read');
  }
  // Objects are opened below a descriptor of the repository: objects/ab/….file, or ab/….file below that of objects.
  return lines.filter((line) => /\brepo\/objects\b|"objects\/|"[0-9a-f]{2}\/[0-9a-f]{62}\./.test(line)).length;
}
