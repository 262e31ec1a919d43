import { setTimeout as sleep } from 'node:timers/promises';
import { usageError } from '../../errors.js';
import { findInstance, type Instance, listInstances, requireRunning } from '../../run/instances.js';
import { measureUsage, type Usage } from '../../run/usage.js';
import { type Context, defineCommand } from '../command.js';
import { formatBytes, formatTable } from '../render/format.js';

/** Seconds over which the share of the processors is measured for a single look. */
const SINGLE_LOOK = 0.25;

export const command = defineCommand({
  name: 'stats',
  summary: 'show what instances use of the machine',
  description:
    'Shows processors, memory, processes, disks and network of instances, all that run by default, again and again until ' +
    'interrupted; where standard output is no terminal, and with --no-stream or --json, once. 100 % are one processor. ' +
    'Instances with limits are counted by their cgroups, others by their processes.',
  positionals: [{ name: 'instance', describe: 'names of instances', variadic: true, complete: 'instances' }],
  options: {
    'no-stream': { type: 'boolean', describe: 'once' },
    interval: { type: 'number', value: 'SECONDS', describe: 'between two looks; default 2' },
    all: { type: 'boolean', alias: 'a', describe: 'also those that have ended' },
  },
  examples: [
    ['stats', 'all that run'],
    ['stats --no-stream --json web', 'for a program'],
  ],
  async handler(context, args) {
    const { settings, signal } = context;
    const interval = args.interval ?? 2;
    if (!(interval >= 0.1)) throw usageError(`Expected --interval to be at least 0.1 seconds, got ${interval}`);
    for (const name of args.instance) requireRunning(settings, name, 'measure');
    const look = (): Instance[] => chosen(context, args.instance, args.all === true);
    const first = new Map(measureAll(look()));
    const once = args['no-stream'] === true || settings.json || !process.stdout.isTTY;
    if (!once) return { json: null, text: '', stream: watch(first, look, { interval, signal }) };
    await sleep(SINGLE_LOOK * 1000, undefined, { signal });
    const rows = compare(first, look());
    return { json: { instances: rows }, text: render(rows) };
  },
});

function chosen({ settings }: Context, names: readonly string[], all: boolean): Instance[] {
  if (names.length === 0) return listInstances(settings, { all });
  return names.flatMap((name) => findInstance(settings, name) ?? []);
}

function measureAll(instances: readonly Instance[]): [string, Usage][] {
  return instances.flatMap(({ name, alive, state }): [string, Usage][] => {
    const usage = alive && state !== undefined ? measureUsage(state) : undefined;
    return usage === undefined ? [] : [[name, usage]];
  });
}

interface Row extends Partial<Omit<Usage, 'at'>> {
  readonly name: string;
  readonly status: string;
  /** Percent of one processor since the last look. */
  readonly cpuPercent: number | null;
}

/** The share of the processors is that between two looks. */
function compare(before: Map<string, Usage>, instances: readonly Instance[]): Row[] {
  const now = new Map(measureAll(instances));
  return instances.map(({ name, status }): Row => {
    const usage = now.get(name);
    if (usage === undefined) return { name, status, cpuPercent: null };
    const { at, ...rest } = usage;
    const last = before.get(name);
    const cpuPercent = last === undefined ? null : (100_000 * Math.max(0, rest.cpu - last.cpu)) / (at - last.at);
    before.set(name, usage);
    return { name, status, cpuPercent, ...rest };
  });
}

async function* watch(
  seen: Map<string, Usage>,
  look: () => Instance[],
  { interval, signal }: { readonly interval: number; readonly signal: AbortSignal },
): AsyncGenerator<string> {
  for (let pause = SINGLE_LOOK; !signal.aborted; pause = interval) {
    try {
      await sleep(pause * 1000, undefined, { signal });
    } catch {
      return; // interrupted: that is how it ends
    }
    // From the top left corner, without what was there.
    yield `\u001b[H\u001b[J${render(compare(seen, look()))}`;
  }
}

const right = 'right' as const;

function render(rows: readonly Row[]): string {
  return formatTable(
    [
      { title: 'name' },
      { title: 'cpu', align: right },
      { title: 'memory', align: right },
      { title: 'limit', align: right },
      { title: 'processes', align: right },
      { title: 'read', align: right },
      { title: 'written', align: right },
      { title: 'received', align: right },
      { title: 'sent', align: right },
      { title: 'status' },
    ],
    rows.map((row) => [
      row.name,
      row.cpuPercent === null ? '-' : `${row.cpuPercent.toFixed(1)} %`,
      size(row.memory),
      size(row.memoryLimit),
      row.pids === undefined ? '-' : `${row.pids}${row.pidsLimit === undefined ? '' : `/${row.pidsLimit}`}`,
      size(row.read),
      size(row.written),
      size(row.received),
      size(row.sent),
      row.status,
    ]),
  );
}

function size(bytes: number | undefined): string {
  return bytes === undefined ? '-' : formatBytes(bytes);
}
