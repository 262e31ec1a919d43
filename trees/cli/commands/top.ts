import { uptime } from 'node:os';
import { readDatabase } from '../../run/instance.js';
import { type InstanceProcess, insideIds, listProcesses } from '../../run/instance-processes.js';
import { notRunning, requireRunning } from '../../run/instances.js';
import { storePaths } from '../../store/paths.js';
import { type Context, defineCommand } from '../command.js';
import { formatTable } from '../render/format.js';

export const command = defineCommand({
  name: 'top',
  summary: 'show the processes of an instance',
  description:
    'Lists the processes with their numbers in the instance and on the host, and their users by the names that the tree ' +
    'has for them.',
  positionals: [{ name: 'instance', describe: 'its name', required: true, complete: 'instances' }],
  options: {},
  examples: [['top web', 'what runs in it']],
  handler: async (context, args) => {
    const { settings } = context;
    const instance = requireRunning(settings, args.instance, 'list processes of');
    const init = instance.state?.init?.pid;
    if (init === undefined) throw notRunning(instance.name, 'list processes of');
    const now = uptimeTicks();
    const nameOf = userNames(context, instance.app, instance.state?.generation ?? 0, init);
    const processes = listProcesses(init)
      .sort((a, b) => a.inside - b.inside)
      .map((process) => describe(process, nameOf, now));
    const rows = processes.map(({ pid, hostPid, ppid, user, state, cpu, memory, seconds, command: words }) => [
      user,
      String(pid),
      String(hostPid),
      String(ppid),
      state,
      cpu.toFixed(1),
      `${Math.round(memory / 1024)}`,
      clock(seconds),
      words,
    ]);
    return { json: { name: instance.name, processes }, text: formatTable(columns, rows) };
  },
});

const right = 'right' as const;
const columns = [
  { title: 'user' },
  { title: 'pid', align: right },
  { title: 'hpid', align: right },
  { title: 'ppid', align: right },
  { title: 'stat' },
  { title: '%cpu', align: right },
  { title: 'rss kib', align: right },
  { title: 'time', align: right },
  { title: 'command' },
];

const HZ = 100;

function describe(process: InstanceProcess, nameOf: (uid: number) => string, now: number) {
  const lived = Math.max(1, now - process.started);
  return {
    user: nameOf(process.uid),
    pid: process.inside,
    hostPid: process.pid,
    ppid: process.parent,
    state: process.state,
    /** Percent of one processor over its life. */
    cpu: (100 * process.ownTicks) / lived,
    memory: process.resident,
    seconds: process.ownTicks / HZ,
    threads: process.threads,
    command: process.command,
  };
}

/** Ticks since the boot. */
function uptimeTicks(): number {
  return uptime() * HZ;
}

function userNames({ settings }: Context, app: string, generation: number, init: number): (uid: number) => string {
  const inside = insideIds(init);
  // The tree's own file: the container may have changed its copy, which is nothing to follow from outside.
  const rootfs = storePaths(settings.root).rootfs(app, generation);
  const names = new Map(readDatabase(rootfs, 'passwd').map(([name = '', , id]) => [Number(id), name]));
  return (uid) => {
    const id = inside(uid);
    return id === undefined ? `outside:${uid}` : (names.get(id) ?? String(id));
  };
}

function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
