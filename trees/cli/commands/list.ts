import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TreesError } from '../../errors.js';
import { type InstalledApp, listInstalled } from '../../store/generations.js';
import { type StorePaths, storePaths } from '../../store/paths.js';
import { type Pin, readPin } from '../../store/pins.js';
import type { StoreUsage } from '../../store/usage.js';
import { type Context, defineCommand } from '../command.js';
import { type Column, formatBytes, formatTable } from '../render/format.js';
import { storeOptions } from '../store-options.js';

// Reads links and JSON only; libostree is loaded for nothing but --size.
export const command = defineCommand({
  name: 'list',
  aliases: ['ls'],
  summary: 'list installed apps',
  description:
    'With --size, OWN is what only this app needs in the store, all its generations together: what removing it gives back. ' +
    'SHARED is what other apps need, too. The last line counts what is shared once. Data is not included.',
  positionals: [],
  options: {
    size: { type: 'boolean', describe: 'show what each app takes on disk: own, shared with other apps, total' },
  },
  examples: [
    ['ls', 'installed apps'],
    ['ls --size', 'and what they take on disk'],
    ['ls --json', 'the same for scripts'],
  ],
  async handler(context, args) {
    const paths = storePaths(context.settings.root);
    let damaged = 0;
    const onDamaged = (error: TreesError): undefined => {
      damaged += 1;
      context.reporter.warn(error.message);
    };
    const apps = listInstalled(paths, onDamaged).map((app) => ({ ...app, pin: findPin(paths, app.name, onDamaged) }));
    const unsigned = (feed: string): boolean => isUnsigned(paths, feed);
    const usage = args.size === true ? await measure(context, apps) : undefined;
    return {
      status: damaged === 0 ? 0 : 1,
      json: {
        apps: apps.map((app) => ({
          ...toJson(app),
          unsigned: unsigned(app.current.feed),
          ...(usage && { disk: usage.apps.get(app.name) }),
        })),
        ...(usage && { disk: { total: usage.total } }),
      },
      text:
        apps.length === 0
          ? ''
          : table(apps, usage, unsigned) + (usage === undefined ? '' : `total ${formatBytes(usage.total)}\n`),
    };
  },
});

/** Whether nobody signs what a feed offers. Its record is not parsed: that would load more than all the rest. */
function isUnsigned(paths: StorePaths, feed: string): boolean {
  if (feed === '') return false;
  try {
    return readFileSync(join(paths.feeds, feed, 'feed.json'), 'utf8').includes('"url": "legacy:');
  } catch {
    // Removed since; the column says which it was.
    return false;
  }
}

interface ListedApp extends InstalledApp {
  readonly pin: Pin | undefined;
}

function findPin(paths: StorePaths, name: string, onDamaged: (error: TreesError) => undefined): Pin | undefined {
  try {
    return readPin(paths, name);
  } catch (error) {
    if (error instanceof TreesError) return onDamaged(error);
    throw error;
  }
}

async function measure(context: Context, apps: readonly ListedApp[]): Promise<StoreUsage> {
  const { measureUsage } = await import('../../store/usage.js');
  return await measureUsage(
    storeOptions(context, 'ls --size'),
    apps.map(({ name }) => name),
  );
}

function table(apps: readonly ListedApp[], usage: StoreUsage | undefined, unsigned: (feed: string) => boolean): string {
  const columns: Column[] = [
    { title: 'name' },
    { title: 'version' },
    { title: 'base' },
    { title: 'generation' },
    { title: 'feed' },
  ];
  const pins = apps.some(({ pin }) => pin !== undefined);
  if (pins) columns.push({ title: 'pin' });
  if (usage !== undefined) {
    for (const title of ['own', 'shared', 'total']) columns.push({ title, align: 'right' });
  }
  const rows = apps.map(({ name, current, pin }) => {
    const row = [
      name === current.app ? name : `${name} (${current.app})`,
      current.version,
      `${current.base.name} ${current.base.version}`,
      String(current.number),
      unsigned(current.feed) ? `${current.feed} (unsigned)` : current.feed,
      ...(pins ? [pin?.range ?? ''] : []),
    ];
    const disk = usage?.apps.get(name);
    return disk === undefined ? row : [...row, ...[disk.own, disk.shared, disk.total].map(formatBytes)];
  });
  return formatTable(columns, rows);
}

function toJson({ name, current, generations, pin }: ListedApp) {
  const { app, version, arch, feed, base, number, size, files, installed } = current;
  return {
    name,
    app,
    version,
    arch,
    feed,
    base: { name: base.name, version: base.version },
    generation: number,
    generations,
    size,
    files,
    installed,
    pinned: pin !== undefined,
    pin: pin?.range ?? null,
  };
}
