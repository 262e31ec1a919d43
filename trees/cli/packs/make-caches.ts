import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { encodeCache } from './code-cache.js';
import { cachePlaces, type Place } from './place.js';

/** Of as many packs caches are kept in one place: a few versions of Node and of this package. */
const KEPT = 16;
const STALE_MS = 3_600_000;
const TIMEOUT_MS = 60_000;

/**
 * Has the caches of all packs made, in the first place where that can be done, and waits for it: a second,
 * once after an installation or another version of Node. Nothing that goes wrong is an error; it starts slower then.
 * @param packs directory of the packs and of the program that makes their caches
 */
export function orderCaches(packs: string): void {
  const place = cachePlaces(packs).find(canWrite);
  if (place === undefined) return;
  spawnSync(process.execPath, [...process.execArgv, join(packs, 'warm-up.js'), place.directory], {
    stdio: 'ignore',
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
}

function canWrite(place: Place): boolean {
  try {
    mkdirSync(place.directory, { recursive: true, mode: place.mode });
    const fd = openPlace(place.directory);
    try {
      if (!place.trusts(fstatSync(fd))) return false;
      // More than access(2) says: whether there is room for a file.
      const probe = `/proc/self/fd/${fd}/${temporaryName('probe')}`;
      writeFileSync(probe, '', { flag: 'wx' });
      rmSync(probe);
      return true;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

/**
 * Puts caches where they belong, each whole or not at all, and deletes the oldest ones there.
 * @param caches V8's data by the name of the file
 */
export function storeCaches(directory: string, caches: ReadonlyMap<string, Buffer>): void {
  const fd = openPlace(directory);
  // Whatever becomes of the directory's name meanwhile, this is the one that was looked at.
  const here = `/proc/self/fd/${fd}`;
  try {
    for (const [name, data] of caches) {
      const temporary = join(here, temporaryName(name));
      const file = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644);
      try {
        writeFileSync(file, encodeCache(data));
        // Before the rename, so that no crash leaves a name without the content.
        fsyncSync(file);
        renameSync(temporary, join(here, name));
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
      } finally {
        closeSync(file);
      }
    }
    removeOld(here);
  } finally {
    closeSync(fd);
  }
}

function openPlace(directory: string): number {
  return openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

function temporaryName(name: string): string {
  return `${name}.${process.pid}.tmp`;
}

function removeOld(directory: string): void {
  const ages = new Map<string, number>();
  for (const name of readdirSync(directory)) {
    const written = statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (name.endsWith('.cache')) ages.set(name, written);
    else if (name.endsWith('.tmp') && Date.now() - written > STALE_MS) rmSync(join(directory, name), { force: true });
  }
  const newestFirst = [...ages].sort(([, a], [, b]) => b - a);
  for (const [name] of newestFirst.slice(KEPT)) rmSync(join(directory, name), { force: true });
}
