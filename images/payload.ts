import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { TreesError } from '../trees/errors.js';
import { digestFileSync } from './compare.js';
import { fetchArchive } from './fetch-archive.js';
import { type ProcessContext, runProcess } from './process.js';
import type { PayloadSpec } from './schema.js';
import { copyImageXattrs } from './xattrs.js';

/** Files that an image takes from a directory or an archive rather than from packages. */
export interface Payload {
  /** Of everything in it. */
  readonly digest: string;
  /** Puts it below an existing directory, at `into`. */
  stage(root: string): Promise<void>;
}

export interface PayloadContext extends ProcessContext {
  /** Directory of the definition file. */
  readonly directory: string;
  readonly cache: string;
  /** Default of `owners`. */
  readonly owners: 'keep' | 'root';
}

/**
 * Finds, downloads and verifies the source of a `dir` or `tar` build.
 *
 * @throws TreesError `BUILD_FAILED` naming the path or URL when it cannot be had, or is not what its digest says
 */
export async function resolvePayload(
  context: PayloadContext,
  builder: 'dir' | 'tar',
  spec: PayloadSpec,
): Promise<Payload> {
  const owners = spec.owners ?? context.owners;
  const into = spec.into ?? '/';
  const target = (root: string): string => {
    mkdirSync(join(root, into), { recursive: true });
    return join(root, into);
  };
  if (builder === 'dir') {
    const source = localSource(context, spec, 'directory');
    return {
      digest: digestDirectory(source),
      stage: async (root) => copyDirectory(source, target(root), owners),
    };
  }
  const archive = isUrl(spec.source ?? '') ? await fetchArchive(context, spec) : localSource(context, spec, 'file');
  const digest = digestFileSync(archive);
  if (spec.sha256 !== undefined && spec.sha256 !== digest) {
    throw new TreesError(
      'BUILD_FAILED',
      `cannot use ${archive}: Expected its SHA-256 to be ${spec.sha256}, got ${digest}`,
    );
  }
  return { digest, stage: (root) => unpack(context, { archive, target: target(root), spec, owners }) };
}

function isUrl(source: string): boolean {
  return /^https?:\/\//.test(source);
}

function localSource(context: PayloadContext, spec: PayloadSpec, kind: 'directory' | 'file'): string {
  const path = resolve(context.directory, spec.source ?? '');
  const stats = existsSync(path) ? lstatSync(path) : undefined;
  if (kind === 'directory' ? stats?.isDirectory() !== true : stats?.isFile() !== true) {
    throw new TreesError('BUILD_FAILED', `cannot read the source: ${path} is not a ${kind}`, {
      hint: 'build.source in the definition is relative to the definition file',
    });
  }
  return path;
}

async function unpack(
  context: PayloadContext,
  input: { archive: string; target: string; spec: PayloadSpec; owners: 'keep' | 'root' },
): Promise<void> {
  const owners = input.owners === 'root' ? ['--no-same-owner'] : ['--same-owner', '--numeric-owner'];
  const strip = input.spec.strip === undefined ? [] : [`--strip-components=${input.spec.strip}`];
  const xattrs = ['--xattrs', '--xattrs-include=security.capability', '--xattrs-include=user.*'];
  const argv = [
    'tar',
    '--extract',
    '--preserve-permissions',
    ...owners,
    ...xattrs,
    ...strip,
    '--directory',
    input.target,
  ];
  await runProcess(context, ['tar', ...argv.slice(1), '--file', input.archive], { step: `unpack ${input.archive}` });
}

/** Names, types, permissions and content, in the order of names. */
function digestDirectory(root: string): string {
  const hash = createHash('sha256');
  const visit = (directory: string, path: string): void => {
    for (const name of readdirSync(directory).sort()) {
      const file = join(directory, name);
      const stats = lstatSync(file);
      const owner = `${stats.mode.toString(8)} ${stats.uid}:${stats.gid}`;
      hash.update(`${path}/${name}\0${owner}\0`);
      if (stats.isDirectory()) visit(file, `${path}/${name}`);
      else if (stats.isSymbolicLink()) hash.update(`-> ${readlinkSync(file)}\0`);
      else if (stats.isFile()) hash.update(`${digestFileSync(file)}\0`);
    }
  };
  visit(root, '');
  return hash.digest('hex');
}

/** Copies a tree, symbolic links as they are. `root`: everything is root's, 0755 where executable, 0644 otherwise. */
function copyDirectory(source: string, target: string, owners: 'keep' | 'root'): void {
  for (const name of readdirSync(source).sort()) {
    const [from, to] = [join(source, name), join(target, name)];
    const stats = lstatSync(from);
    if (stats.isDirectory()) {
      mkdirSync(to, { recursive: true });
      copyDirectory(from, to, owners);
    } else if (stats.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
    else if (stats.isFile()) copyFileSync(from, to);
    else continue;
    const plain = stats.isDirectory() || (stats.mode & 0o111) !== 0 ? 0o755 : 0o644;
    lchownSync(to, owners === 'keep' ? stats.uid : 0, owners === 'keep' ? stats.gid : 0);
    if (stats.isSymbolicLink()) continue;
    chmodSync(to, owners === 'keep' ? stats.mode & 0o7777 : plain);
    if (owners === 'keep') copyImageXattrs(from, to);
    lutimesSync(to, stats.atime, stats.mtime);
  }
}
