import { type HistoryEntry, readHistory } from '../../store/history.js';
import { storePaths } from '../../store/paths.js';
import { defineCommand } from '../command.js';
import { type Column, formatBytes, formatTable } from '../render/format.js';

// Reads links and JSON only; libostree is never loaded for this.
export const command = defineCommand({
  name: 'history',
  summary: 'show the generations of an app',
  description:
    'Every generation with the version, its base, when it was made, and whether it is current, pinned or running.',
  positionals: [{ name: 'app', describe: 'name it is installed under', required: true, complete: 'installed' }],
  options: {},
  examples: [
    ['history etcd', 'generations, oldest first'],
    ['history etcd --json', 'the same for scripts'],
  ],
  handler(context, args) {
    const { pin, generations } = readHistory(storePaths(context.settings.root), args.app);
    const held = pin === undefined ? '' : `pinned to ${pin.range} since ${pin.since}\n`;
    return Promise.resolve({
      json: { name: args.app, pin: pin ?? null, generations: generations.map(toJson) },
      text: formatTable(columns, generations.map(toRow)) + held,
    });
  },
});

const columns: readonly Column[] = [
  { title: 'generation', align: 'right' },
  { title: 'version' },
  { title: 'base' },
  { title: 'installed' },
  { title: 'size', align: 'right' },
  { title: 'state' },
];

function toRow({ number, generation, current, pinned, running }: HistoryEntry): string[] {
  const state = [
    ...(current ? ['current'] : []),
    ...(pinned ? ['pinned'] : []),
    ...(running ? ['running'] : []),
    ...(generation === undefined ? ['damaged'] : []),
  ].join(', ');
  if (generation === undefined) return [String(number), '', '', '', '', state];
  const { version, base, installed, size } = generation;
  return [String(number), version, `${base.name} ${base.version}`, installed, formatBytes(size), state];
}

function toJson({ number, generation, current, pinned, running }: HistoryEntry) {
  const base = generation?.base;
  return {
    generation: number,
    version: generation?.version ?? null,
    base: base === undefined ? null : { name: base.name, version: base.version },
    installed: generation?.installed ?? null,
    size: generation?.size ?? null,
    files: generation?.files ?? null,
    tree: generation?.tree ?? null,
    current,
    pinned,
    running,
    damaged: generation === undefined,
  };
}
