import { existsSync, lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { TreesError } from '../trees/errors.js';
import { packageVersion } from './deb.js';
import type { Definition } from './schema.js';
import { toSemver } from './version.js';

/**
 * The version of a finished image, by what its definition says.
 *
 * @param from.roots directories that make the image, topmost first
 * @param from.epoch date of its newest input, in seconds since the epoch
 * @throws TreesError `BUILD_FAILED` naming the package or file that has no version
 */
export function imageVersion(definition: Definition, from: { roots: readonly string[]; epoch: number }): string {
  const source = definition.version;
  if ('fixed' in source) return source.fixed;
  if ('package' in source) {
    const database = readImageFile(from.roots, '/var/lib/dpkg/status') ?? '';
    const installed = packageVersion(database, source.package) ?? apkVersion(from.roots, source.package);
    if (installed !== undefined) return toSemver(installed, from.epoch);
    throw noVersion(definition, `package ${source.package} is not installed in it`);
  }
  const content = readImageFile(from.roots, source.file);
  if (content === undefined) throw noVersion(definition, `${source.file} is not a file in it`);
  if (source.pattern === undefined) return toSemver(content.trim(), from.epoch);
  const match = new RegExp(source.pattern, 'm').exec(content);
  const found = match?.[1] ?? match?.[0];
  if (found === undefined) throw noVersion(definition, `nothing in ${source.file} matches ${source.pattern}`);
  return toSemver(found, from.epoch);
}

/** Alpine's database: stanzas with `P:` for the name and `V:` for the version. */
function apkVersion(roots: readonly string[], name: string): string | undefined {
  const database = readImageFile(roots, '/lib/apk/db/installed') ?? '';
  const stanza = database.split('\n\n').find((text) => text.split('\n').includes(`P:${name}`));
  return stanza === undefined ? undefined : /^V:(.*)$/m.exec(stanza)?.[1];
}

function noVersion(definition: Definition, why: string): TreesError {
  return new TreesError('BUILD_FAILED', `cannot tell the version of ${definition.name}: ${why}`, {
    hint: 'correct version in the definition',
  });
}

const MAX_LINKS = 16;

/** Reads a file of an image on disk. Symbolic links are followed inside the image only. */
function readImageFile(roots: readonly string[], path: string): string | undefined {
  for (const root of roots) {
    const file = resolveInside(root, path);
    if (file !== undefined) return readFileSync(file, 'utf8');
  }
  return undefined;
}

function resolveInside(root: string, path: string): string | undefined {
  let pending = path.split('/').filter((part) => part !== '');
  let inside = '/';
  for (let links = 0; pending.length > 0; ) {
    const [part = '', ...rest] = pending;
    const next = posix.join(inside, part);
    const stats = existsLstat(root + next);
    if (stats === undefined) return undefined;
    if (stats.isSymbolicLink()) {
      if (++links > MAX_LINKS) return undefined;
      const target = posix.resolve(inside, readlinkSync(root + next));
      pending = [...target.split('/').filter((one) => one !== ''), ...rest];
      inside = '/';
      continue;
    }
    inside = next;
    pending = rest;
  }
  return existsSync(root + inside) && lstatSync(root + inside).isFile() ? root + inside : undefined;
}

function existsLstat(path: string) {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}
