import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { appNames, currentNumber, type Generation, readInstalled } from './generations.js';
import type { StorePaths } from './paths.js';
import { type Pin, pinFile, readPin } from './pins.js';

/*
 * Most updates find nothing to do. Everything that such a finding rests on is noted in `.up-to-date.json`: what is
 * installed and pinned, what is known and trusted of the feeds, and which files their directories hold. As long as all
 * of that is the same, so is the finding, and no index has to be read and verified again. For feeds in directories only:
 * others have to be asked. Everything here is cheap to load.
 */

/** What the finding rests on. */
interface Facts {
  /** Number of the current generation, what pins it, and the feed it is from. */
  readonly apps: Readonly<Record<string, readonly [generation: number, pin: string | null, feed: string]>>;
  /** The store's own files about a feed, and which files of its directory were looked at. */
  readonly feeds: Readonly<Record<string, readonly [record: string, state: string, files: string]>>;
}

interface Finding extends Facts {
  readonly schema: 1;
  /** ISO 8601: when the first of the indexes expires. */
  readonly until: string;
}

export interface UpToDate {
  readonly name: string;
  readonly generation: Generation;
  readonly pin: Pin | undefined;
}

/** A file that changed just now may change once more without looking any different. */
const SETTLED_MS = 2000;

const findingFile = (paths: StorePaths): string => join(paths.root, '.up-to-date.json');

/**
 * Installed apps, if it is known that an update has nothing to do for them.
 * @param names none means all
 * @returns undefined if it has to be looked into; also if anything is odd
 */
export function knownUpToDate(paths: StorePaths, names: readonly string[], now = new Date()): UpToDate[] | undefined {
  try {
    const finding: unknown = JSON.parse(readFileSync(findingFile(paths), 'utf8'));
    if (!isFinding(finding) || !(now.getTime() < Date.parse(finding.until))) return undefined;
    const wanted = names.length === 0 ? installedNames(paths) : [...new Set(names)].sort();
    const facts = gatherFacts(paths, wanted);
    // Apps that are not asked for matter only if something moves.
    if (facts === undefined || (names.length === 0 && !sameKeys(finding.apps, facts.apps))) return undefined;
    if (!includes(finding.apps, facts.apps) || !includes(finding.feeds, facts.feeds)) return undefined;
    const fromFeeds = wanted.filter((name) => facts.apps[name]?.[2] !== '');
    // That nothing brings news of an app from a file is to be said if it is named.
    if (names.length > 0 && fromFeeds.length < wanted.length) return undefined;
    return fromFeeds.flatMap((name) => {
      const installed = readInstalled(paths, name);
      return installed === undefined ? [] : [{ name, generation: installed.current, pin: readPin(paths, name) }];
    });
  } catch (error) {
    if (error instanceof TreesError || error instanceof SyntaxError || (error instanceof Error && 'syscall' in error)) {
      return undefined;
    }
    throw error;
  }
}

/** Collected before an update looks at the feeds, for `remember`. */
export function factsBefore(paths: StorePaths): Facts | undefined {
  try {
    return gatherFacts(paths, installedNames(paths));
  } catch {
    return undefined;
  }
}

/** What an update found. */
interface Found {
  /** The feeds' indexes that it went by, by the feeds' names. */
  readonly indexes: ReadonlyMap<string, { readonly sequence: number; readonly expires: string }>;
  /** Numbers of the apps' generations that are the newest. */
  readonly generations: ReadonlyMap<string, number>;
}

/** Notes that all apps are up to date now. Not if anything changed meanwhile: perhaps that was not seen. */
export async function remember(paths: StorePaths, before: Facts, { indexes, generations }: Found): Promise<void> {
  const now = factsBefore(paths);
  if (now === undefined) return;
  for (const [name, [record, state, files]] of Object.entries(now.feeds)) {
    const [, sequence] = /"sequence": (\d+)/.exec(state) ?? [];
    const [recordBefore, , filesBefore] = before.feeds[name] ?? [];
    if (record !== recordBefore || files !== filesBefore || Number(sequence) !== indexes.get(name)?.sequence) return;
  }
  for (const [name, [generation, pin, feed]] of Object.entries(now.apps)) {
    if (feed !== '' && (generations.get(name) !== generation || before.apps[name]?.[1] !== pin)) return;
  }
  const [until] = [...indexes.values()].map(({ expires }) => new Date(expires).toISOString()).sort();
  if (until === undefined) return;
  const finding: Finding = { schema: 1, ...now, until };
  try {
    const { replaceFile } = await import('./files.js');
    await replaceFile(findingFile(paths), `${JSON.stringify(finding)}\n`);
  } catch (error) {
    // It only saves time; a store that cannot be written to needs none of it.
    if (!(error instanceof Error && 'syscall' in error)) throw error;
  }
}

function installedNames(paths: StorePaths): string[] {
  return appNames(paths).filter((name) => currentNumber(paths, name) !== undefined);
}

/** Undefined if there is something that such a note cannot be about. */
function gatherFacts(paths: StorePaths, names: readonly string[]): Facts | undefined {
  const apps: Record<string, Facts['apps'][string]> = {};
  const feeds: Record<string, Facts['feeds'][string]> = {};
  for (const name of names) {
    const current = readInstalled(paths, name)?.current;
    if (current === undefined) return undefined;
    apps[name] = [current.number, textOrNull(pinFile(paths, name)), current.feed];
    if (current.feed === '' || feeds[current.feed] !== undefined) continue;
    const facts = feedFacts(join(paths.feeds, current.feed));
    if (facts === undefined) return undefined;
    feeds[current.feed] = facts;
  }
  return { apps, feeds };
}

function feedFacts(directory: string): Facts['feeds'][string] | undefined {
  const record = readFileSync(join(directory, 'feed.json'), 'utf8');
  const parsed: unknown = JSON.parse(record);
  if (typeof parsed !== 'object' || parsed === null || Reflect.get(parsed, 'mirrors') !== undefined) return undefined;
  const url: unknown = Reflect.get(parsed, 'url');
  if (typeof url !== 'string' || !url.startsWith('dir:/')) return undefined;
  const files = ['index.json', 'index.json.minisig'].map((name) => fileFacts(join(url.slice('dir:'.length), name)));
  if (files.includes(undefined)) return undefined;
  return [record, readFileSync(join(directory, 'state.json'), 'utf8'), files.join(' ')];
}

function fileFacts(path: string): string | undefined {
  const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
  if (Math.abs(Date.now() - ctimeMs) < SETTLED_MS) return undefined;
  return [dev, ino, size, mtimeMs, ctimeMs].join(':');
}

function textOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

function includes(noted: Readonly<Record<string, unknown>>, found: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(found).every(([key, value]) => JSON.stringify(noted[key]) === JSON.stringify(value));
}

function sameKeys(a: object, b: object): boolean {
  return Object.keys(a).sort().join('/') === Object.keys(b).sort().join('/');
}

function isFinding(value: unknown): value is Finding {
  if (typeof value !== 'object' || value === null || Reflect.get(value, 'schema') !== 1) return false;
  const parts: unknown[] = [Reflect.get(value, 'apps'), Reflect.get(value, 'feeds')];
  return (
    typeof Reflect.get(value, 'until') === 'string' && parts.every((part) => typeof part === 'object' && part !== null)
  );
}
