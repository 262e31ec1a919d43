import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import { readTextFile } from '../inputs.js';
import { acquireLock } from '../store/locks.js';
import type { StorePaths } from '../store/paths.js';

/** Ids that every instance has: 0…65535 inside. */
export const RANGE_SIZE = 65_536;
/**
 * Where ranges lie: above those that systemd-nspawn picks from (to 0x6fffffff), below its "foreign" range and the sign
 * bit, and far above what useradd hands out in /etc/subuid.
 */
const FIRST_SLOT = 0x7000;
const LAST_SLOT = 0x7ffd;
const SLOTS = LAST_SLOT - FIRST_SLOT + 1;

export interface IdRange {
  readonly start: number;
  readonly count: number;
}

const IDS_FILE = 'ids.json';

export interface AllocateOptions {
  /** Seconds to wait for another process that is allocating. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The instance's range of user and group ids on the host, recorded in `data/<instance>/ids.json`. It is chosen once,
 * by the instance's name, so that the same machine set up again gets the same ranges, and never overlaps another
 * instance's or an entry of /etc/subuid and /etc/subgid.
 *
 * @throws TreesError `LOCKED`, or `LAUNCH_FAILED` when no range is left
 */
export async function allocateIds(paths: StorePaths, instance: string, options: AllocateOptions): Promise<IdRange> {
  const known = readRange(paths, instance);
  if (known !== undefined) return known;
  mkdirSync(paths.locks, { recursive: true, mode: 0o700 });
  using _lock = await acquireLock(join(paths.locks, 'ids'), 'exclusive', {
    what: 'the table of user ids',
    command: `give ${instance} user ids`,
    ...options,
  });
  const raced = readRange(paths, instance);
  if (raced !== undefined) return raced;
  const range = chooseRange(instance, [...otherRanges(paths), ...subordinateRanges()]);
  const directory = join(paths.data, instance);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, IDS_FILE);
  writeFileSync(`${file}.new`, `${JSON.stringify(range)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return range;
}

interface Range {
  readonly start: number;
  readonly count: number;
}

/** The first free range from the one that the name's hash points at. Pure. */
export function chooseRange(instance: string, taken: readonly Range[]): IdRange {
  const hash = createHash('sha256').update(instance).digest().readUInt32BE(0);
  for (let i = 0; i < SLOTS; i++) {
    const start = (FIRST_SLOT + ((hash + i) % SLOTS)) * RANGE_SIZE;
    if (!taken.some((other) => start < other.start + other.count && other.start < start + RANGE_SIZE)) {
      return { start, count: RANGE_SIZE };
    }
  }
  throw new TreesError('LAUNCH_FAILED', `cannot give ${instance} user ids: all ${SLOTS} ranges are taken`, {
    hint: 'remove the data of instances you no longer need, or run with --userns host',
  });
}

function readRange(paths: StorePaths, instance: string): IdRange | undefined {
  const file = join(paths.data, instance, IDS_FILE);
  try {
    return parseRange(JSON.parse(readTextFile(file)));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    const why = reasonOf(error);
    throw new TreesError('STORE_CORRUPT', `cannot read the user ids of ${instance}: ${why} (${file})`, {
      hint: 'remove that file: the instance then gets a new range; its files keep their owners',
      cause: error,
    });
  }
}

/** By hand: a schema library would cost `trees run` more than everything else that it does here. */
function parseRange(value: unknown): IdRange {
  const start: unknown = Reflect.get(Object(value), 'start');
  const count: unknown = Reflect.get(Object(value), 'count');
  if (typeof start === 'number' && Number.isInteger(start) && start >= 1 && count === RANGE_SIZE)
    return { start, count };
  throw new Error(`Expected a range of ${RANGE_SIZE} ids, got ${JSON.stringify(value)}`);
}

function otherRanges(paths: StorePaths): Range[] {
  try {
    return readdirSync(paths.data).flatMap((name) => readRange(paths, name) ?? []);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** What /etc/subuid and /etc/subgid hand out to users: `name:start:count` a line. */
function subordinateRanges(): Range[] {
  return ['/etc/subuid', '/etc/subgid'].flatMap((file) => {
    try {
      return [...readTextFile(file).matchAll(/^[^:#\n]+:(\d+):(\d+)$/gm)].map(([, start, count]) => ({
        start: Number(start),
        count: Number(count),
      }));
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'EACCES')) return [];
      throw error;
    }
  });
}
