import { TreesError } from '../../errors.js';
import { type InstalledApp, listInstalled } from '../../store/generations.js';
import { type StorePaths, storePaths } from '../../store/paths.js';
import { type Pin, readPin } from '../../store/pins.js';
import { defineCommand } from '../command.js';
import { type Column, formatBytes, formatTable } from '../render/format.js';

// Reads links and JSON only; libostree is never loaded for this.
export const command = defineCommand({
  name: 'list',
  aliases: ['ls'],
  summary: 'list installed apps',
  positionals: [],
  options: {
    size: { type: 'boolean', describe: 'show sizes; apps share what they have in common' },
  },
  examples: [
    ['ls', 'installed apps'],
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
    return {
      status: damaged === 0 ? 0 : 1,
      json: { apps: apps.map(toJson) },
      text: apps.length === 0 ? '' : table(apps, args.size === true),
    };
  },
});

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

function table(apps: readonly ListedApp[], size: boolean): string {
  const columns: Column[] = [
    { title: 'name' },
    { title: 'version' },
    { title: 'base' },
    { title: 'generation' },
    { title: 'feed' },
  ];
  const pins = apps.some(({ pin }) => pin !== undefined);
  if (pins) columns.push({ title: 'pin' });
  if (size) columns.push({ title: 'size', align: 'right' });
  const rows = apps.map(({ name, current, pin }) => {
    const row = [
      name === current.app ? name : `${name} (${current.app})`,
      current.version,
      `${current.base.name} ${current.base.version}`,
      String(current.number),
      current.feed,
      ...(pins ? [pin?.range ?? ''] : []),
    ];
    return size ? [...row, formatBytes(current.size)] : row;
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
