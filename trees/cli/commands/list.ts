import { type InstalledApp, listInstalled } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
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
    let damaged = 0;
    const apps = listInstalled(storePaths(context.settings.root), (error) => {
      damaged += 1;
      context.reporter.warn(error.message);
    });
    return {
      status: damaged === 0 ? 0 : 1,
      json: { apps: apps.map(toJson) },
      text: apps.length === 0 ? '' : table(apps, args.size === true),
    };
  },
});

function table(apps: readonly InstalledApp[], size: boolean): string {
  const columns: Column[] = [
    { title: 'name' },
    { title: 'version' },
    { title: 'base' },
    { title: 'generation' },
    { title: 'feed' },
  ];
  if (size) columns.push({ title: 'size', align: 'right' });
  const rows = apps.map(({ name, current }) => {
    const row = [
      name === current.app ? name : `${name} (${current.app})`,
      current.version,
      `${current.base.name} ${current.base.version}`,
      String(current.number),
      current.feed,
    ];
    return size ? [...row, formatBytes(current.size)] : row;
  });
  return formatTable(columns, rows);
}

function toJson({ name, current, generations }: InstalledApp) {
  const { app, version, arch, feed, base, number, size, files, installed, pinned } = current;
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
    pinned: pinned === true,
  };
}
