import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { isErrno } from '../errors.js';
import { noteInput, readTextFile } from '../inputs.js';
import type { StorePaths } from '../store/paths.js';
import { copyContent, keepStatus } from './volume-content.js';

/** An instance's own directories below `data/<instance>`: the only writable state, kept across updates. */
export interface InstancePaths {
  readonly directory: string;
  readonly upper: string;
  readonly work: string;
  readonly lock: string;
  volume(name: string): string;
}

export function instancePaths(paths: StorePaths, instance: string): InstancePaths {
  const directory = join(paths.data, instance);
  return {
    directory,
    upper: join(directory, 'overlay', 'upper'),
    work: join(directory, 'overlay', 'work'),
    lock: join(directory, 'overlay', '.lock'),
    volume: (name) => join(directory, 'volumes', name),
  };
}

/** Makes the upper and work directory. The upper's owner and mode become those of `/`, so they are the tree's. */
export function prepareUpper(instance: InstancePaths, rootfs: string): void {
  mkdirSync(instance.directory, { recursive: true, mode: 0o700 });
  mkdirSync(instance.work, { recursive: true, mode: 0o700 });
  if (makeDirectory(instance.upper)) {
    const tree = statSync(rootfs);
    chmodSync(instance.upper, tree.mode & 0o7777);
    if (process.geteuid?.() === 0) chownSync(instance.upper, tree.uid, tree.gid);
  }
  for (const directory of [instance.work, instance.upper]) noteInput('there', directory);
}

const APP_FILE = 'app';

/**
 * Records whose data an instance holds, in `data/<instance>/app`. One that is named like its app needs no record, so that
 * the common case costs nothing.
 */
export function recordApp(instance: InstancePaths, app: string, { always = false } = {}): void {
  const file = join(instance.directory, APP_FILE);
  if (!always && (readApp(file) ?? basename(instance.directory)) === app) return;
  mkdirSync(instance.directory, { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, `${app}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Names of the instances that hold data of an app. */
export function instancesOf(paths: StorePaths, app: string): string[] {
  let names: string[];
  try {
    names = readdirSync(paths.data);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
  return names.filter((name) => appOf(paths, name) === app).sort();
}

/** Whose data an instance holds; where nothing is recorded, that of the app of its name. */
export function appOf(paths: StorePaths, instance: string): string {
  return readApp(join(paths.data, instance, APP_FILE)) ?? instance;
}

function readApp(file: string): string | undefined {
  try {
    return readTextFile(file).trim();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

export interface VolumeOwner {
  readonly uid: number;
  readonly gid: number;
}

export interface NewVolume {
  readonly mode: number;
  owner(this: void): VolumeOwner;
  /** Directory of the tree that it begins with. */
  content?(this: void): string | undefined;
  /** Mode and owner are those of `content`, if there is any. */
  readonly like?: boolean | undefined;
}

/**
 * Makes a volume's directory; one that exists stays as it is. Ids are those inside: mounts translate them. It gets its
 * name when it is complete: killed before, the next start begins anew.
 */
export function prepareVolume(directory: string, volume: NewVolume): void {
  if (!existsSync(directory)) makeVolume(directory, volume);
  noteInput('there', directory);
}

function makeVolume(directory: string, volume: NewVolume): void {
  const content = volume.content?.();
  mkdirSync(join(directory, '..', '..'), { recursive: true, mode: 0o700 });
  mkdirSync(join(directory, '..'), { recursive: true, mode: 0o700 });
  const unfinished = join(directory, '..', `.${basename(directory)}.new`);
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  if (content !== undefined) copyContent(content, unfinished);
  if (content !== undefined && volume.like === true) {
    keepStatus(unfinished, statSync(content));
  } else {
    const { uid, gid } = volume.owner();
    if (process.geteuid?.() === 0) chownSync(unfinished, uid, gid);
    chmodSync(unfinished, volume.mode);
  }
  renameSync(unfinished, directory);
}

function makeDirectory(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

const ID = /^\d{1,10}$/;

/**
 * Owner for `USER[:GROUP]`, from the tree's own passwd and group files. Only for giving away a new volume: what
 * cannot be found is root. The init does the lookup that counts.
 */
export function findOwner(rootfs: string, text: string | undefined): VolumeOwner {
  const [user = '0', group] = (text ?? '0').split(':');
  const entry = readDatabase(rootfs, 'passwd').find(([name, , uid]) => name === user || uid === user);
  const uid = Number(entry?.[2] ?? (ID.test(user) ? user : 0));
  if (group === undefined) return { uid, gid: Number(entry?.[3] ?? 0) };
  const found = readDatabase(rootfs, 'group').find(([name, , gid]) => name === group || gid === group);
  return { uid, gid: Number(found?.[2] ?? (ID.test(group) ? group : 0)) };
}

/** The tree is hostile: nothing of it is followed out of it. */
export function readDatabase(rootfs: string, name: string): string[][] {
  const directory = join(rootfs, 'etc');
  const file = join(directory, name);
  try {
    if (!lstatSync(directory).isDirectory() || !lstatSync(file).isFile()) return [];
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines.map((line) => line.split(':')).filter((fields) => ID.test(fields[2] ?? ''));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
