import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** One process of an instance, as /proc tells. */
export interface InstanceProcess {
  /** On the host. */
  readonly pid: number;
  /** In the instance. */
  readonly inside: number;
  /** Of its parent in the instance; 0 for process 1 and what joined from outside. */
  readonly parent: number;
  /** On the host. */
  readonly uid: number;
  readonly threads: number;
  /** One letter, as in ps(1). */
  readonly state: string;
  /** Ticks of the processor, of itself and of the children it has waited for. */
  readonly ticks: number;
  /** The same without children. */
  readonly ownTicks: number;
  /** Ticks since the boot. */
  readonly started: number;
  /** Bytes of memory that are there. */
  readonly resident: number;
  readonly command: string;
}

const PAGE = 4096;

/**
 * All processes of an instance: those of its pid namespace, and what descends from them in namespaces of their own. Where that
 * namespace is the host's, those of its mount namespace take their place, which every instance has of its own.
 * @param init its first process
 */
export function listProcesses(init: number): InstanceProcess[] {
  const shared = namespaceOf(init, 'pid') === namespaceOf('self', 'pid');
  const kind = shared ? 'mnt' : 'pid';
  const namespace = namespaceOf(init, kind);
  if (namespace === undefined || namespace === namespaceOf('self', kind)) return [];
  const found = new Map<number, ReturnType<typeof readProcess> & object>();
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const process = Number.isInteger(pid) ? readProcess(pid) : undefined;
    if (process === undefined) continue;
    found.set(pid, process);
    children.set(process.ppid, [...(children.get(process.ppid) ?? []), pid]);
  }
  const own = new Set<number>();
  const add = (pid: number): void => {
    if (own.has(pid)) return;
    own.add(pid);
    for (const child of children.get(pid) ?? []) add(child);
  };
  for (const pid of found.keys()) if (!own.has(pid) && namespaceOf(pid, kind) === namespace) add(pid);
  const level = (found.get(init)?.numbers.length ?? 1) - 1;
  return [...own].flatMap((pid) => {
    const process = found.get(pid);
    if (process === undefined) return [];
    const { numbers, ppid, ...rest } = process;
    const parent = own.has(ppid) ? (found.get(ppid)?.numbers[level] ?? 0) : 0;
    return [{ ...rest, inside: numbers[level] ?? 0, parent }];
  });
}

function namespaceOf(pid: number | 'self', kind: 'pid' | 'mnt'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined; // gone, or somebody else's
  }
}

function readProcess(pid: number) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    // The name may hold anything, parentheses as well. What follows the last one begins with field 3, proc_pid_stat(5).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const field = (number: number): number => Number(fields[number - 3]);
    const numbers = (/^NSpid:\s+(.*)$/m.exec(status)?.[1] ?? '').split(/\s+/).map(Number);
    return {
      pid,
      ppid: field(4),
      numbers,
      uid: Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? 0),
      threads: field(20),
      state: fields[0] ?? '?',
      ticks: field(14) + field(15) + field(16) + field(17),
      ownTicks: field(14) + field(15),
      started: field(22),
      resident: field(24) * PAGE,
      command: commandLine(pid, stat),
    };
  } catch {
    return undefined; // gone
  }
}

/** What a container calls its processes must not move the cursor. */
function commandLine(pid: number, stat: string): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '');
  const text =
    words === '' ? `[${stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))}]` : words.replaceAll('\0', ' ');
  // oxlint-disable-next-line no-control-regex -- exactly those are to go
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

/** Ids inside for ids outside, from `/proc/PID/uid_map`: lines of `INSIDE OUTSIDE COUNT`. Unknown ids are undefined. */
export function insideIds(init: number): (outside: number) => number | undefined {
  let map: number[][] = [];
  try {
    const lines = readFileSync(`/proc/${init}/uid_map`, 'latin1').trim().split('\n');
    map = lines.map((line) => line.trim().split(/\s+/).map(Number));
  } catch {
    // gone
  }
  return (outside) => {
    const range = map.find(([, start = 0, count = 0]) => outside >= start && outside < start + count);
    return range === undefined ? undefined : (range[0] ?? 0) + outside - (range[1] ?? 0);
  };
}
