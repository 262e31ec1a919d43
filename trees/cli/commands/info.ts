import { TreesError } from '../../errors.js';
import { type IndexedFeed, listFeeds, loadFeed } from '../../feed/feeds.js';
import { parseAppReference } from '../../feed/select.js';
import { type Generation, type InstalledApp, readGeneration, readInstalled } from '../../store/generations.js';
import { type StorePaths, storePaths } from '../../store/paths.js';
import { type Pin, readPin } from '../../store/pins.js';
import { type Context, defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';

export const command = defineCommand({
  name: 'info',
  summary: 'show what is known about an app',
  description: 'What is installed, and what the feeds offered when their indexes were last fetched.',
  positionals: [{ name: 'app', describe: 'NAME or FEED/NAME', required: true, complete: 'app' }],
  options: {},
  examples: [
    ['info etcd', 'versions, base, size, how it runs'],
    ['info etcd --json', 'the same for scripts'],
  ],
  async handler(context, args) {
    const { feed, name } = parseAppReference(args.app);
    const paths = storePaths(context.settings.root);
    const installed = readInstalled(paths, name);
    const app = installed?.current.app ?? name;
    const offers = await findOffers(context, app, feed ?? context.settings.feed);
    if (installed === undefined && offers.length === 0) {
      throw new TreesError('APP_NOT_FOUND', `cannot find app "${name}": it is not installed and no feed offers it`, {
        hint: 'trees search lists what the feeds offer',
        details: { name },
      });
    }
    const generations = installed === undefined ? [] : readAll(paths, installed);
    const known: Known = { name, installed, pin: readPin(paths, name), generations, offers };
    return { json: toJson(known), text: toText(known) };
  },
});

interface Offer {
  readonly feed: string;
  readonly unsigned: boolean;
  readonly summary: string;
  readonly versions: ReadonlyArray<{
    readonly version: string;
    readonly arch: string;
    readonly channel: string;
    readonly base: string;
    readonly size: number;
    readonly released: string;
  }>;
}

async function findOffers(context: Context, app: string, only: string | undefined): Promise<Offer[]> {
  const offers: Offer[] = [];
  for (const feed of await listFeeds(context.settings.root)) {
    if (only !== undefined && feed.name !== only && feed.url !== only) continue;
    const indexed = await loadIndex(context, feed);
    if (indexed === undefined || !Object.hasOwn(indexed.index.apps, app)) continue;
    const entry = indexed.index.apps[app];
    if (entry === undefined) continue;
    const versions = entry.versions
      .map(({ version, arch, channel = 'stable', base, size, released }) => ({
        version,
        arch,
        channel,
        base: `${base.name}@${base.range}`,
        size,
        released,
      }))
      .sort((a, b) => (a.released < b.released ? 1 : -1));
    offers.push({ feed: feed.name, unsigned: feed.unsigned === true, summary: entry.summary, versions });
  }
  return offers;
}

/** Nothing is installed from it here, so an expired index will do; a damaged one is told. */
async function loadIndex(context: Context, feed: IndexedFeed['feed']): Promise<IndexedFeed | undefined> {
  try {
    return await loadFeed(context.settings.root, feed, { allowStale: true });
  } catch (error) {
    if (!(error instanceof TreesError)) throw error;
    context.reporter.warn(error.message);
    return undefined;
  }
}

function readAll(paths: StorePaths, app: InstalledApp): Generation[] {
  return app.generations.flatMap((number) => readGeneration(paths, app.name, number) ?? []);
}

interface Known {
  readonly name: string;
  readonly installed: InstalledApp | undefined;
  readonly pin: Pin | undefined;
  readonly generations: readonly Generation[];
  readonly offers: readonly Offer[];
}

function toJson({ name, installed, pin, generations, offers }: Known) {
  return {
    name,
    installed: installed === undefined ? null : { ...installed.current, generation: installed.current.number },
    pin: pin ?? null,
    generations: generations.map(({ number, version, base, installed: time }) => ({
      generation: number,
      version,
      base: { name: base.name, version: base.version },
      installed: time,
      pinned: pin?.generation === number,
    })),
    offers,
  };
}

function toText({ name, installed, pin, generations, offers }: Known): string {
  const lines: string[] = [];
  const summary = installed?.current.summary ?? offers[0]?.summary ?? '';
  lines.push(summary === '' ? name : `${name}: ${summary}`);
  if (installed === undefined) lines.push('  not installed');
  else lines.push(...describeInstalled(installed.current));
  if (pin !== undefined) lines.push(`  pinned     ${pin.range} since ${pin.since}`);
  if (generations.length > 1) {
    lines.push('  generations');
    for (const { number, version, base, installed: time } of generations) {
      const mark = number === installed?.current.number ? '*' : ' ';
      lines.push(`   ${mark}${number}  ${version} on ${base.name} ${base.version}, ${time}`);
    }
  }
  for (const offer of offers) {
    lines.push(`  offered by feed ${offer.feed}${offer.unsigned ? ', which nobody signs' : ''}`);
    for (const { version, arch, channel, base, size, released } of offer.versions) {
      lines.push(
        `    ${version}${channel === 'edge' ? ' (edge)' : ''}  ${arch}  on ${base}  ${formatBytes(size)}  ${released}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function describeInstalled(current: Generation): string[] {
  return [
    `  installed  ${current.version} (generation ${current.number}) on ${current.installed}`,
    ...(current.app === current.name ? [] : [`  app        ${current.app}`]),
    `  base       ${current.base.name} ${current.base.version}`,
    `  feed       ${current.feed}`,
    `  size       ${formatBytes(current.size)} in ${current.files} files, shared with other apps where equal`,
    `  run        ${JSON.stringify(current.run)}`,
  ];
}
