import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TreesError } from '../trees/errors.js';
import { type Metadata, Repo, variant } from '../trees/ostree/index.js';
import type { Reporter } from '../trees/reporter.js';
import { pauseInstance, unpauseInstance } from '../trees/run/cgroup-control.js';
import { claimInstance } from '../trees/run/instance-claim.js';
import { instanceUpper } from '../trees/run/instance-tree.js';
import type { Instance, InstancePlaces } from '../trees/run/instances.js';
import { upperFormat, upperKind } from '../trees/run/upper-format.js';
import { currentNumber, type Generation, readGeneration } from '../trees/store/generations.js';
import { commitKey, refName } from '../trees/store/metadata.js';
import { storePaths } from '../trees/store/paths.js';
import { openBuildRepo } from './build.js';
import { builtVersions } from './commit.js';
import { extractLayer } from './layer.js';
import { mergeLayer } from './merge-layer.js';
import { makeRules } from './rules.js';
import { nextFree } from './version.js';
import { buildPaths, makeWork, openWorkspace, removeWork } from './workspace.js';
import { xattrReader } from './xattrs.js';

export interface CommitOptions {
  readonly places: InstancePlaces;
  /** Seconds. */
  readonly lockTimeout: number;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
  /** Name of the app that it becomes; default that of the instance's. */
  readonly app: string | undefined;
  readonly version: string | undefined;
  readonly message: string | undefined;
}

export interface CommittedLayer {
  readonly app: string;
  readonly version: string;
  readonly ref: string;
  readonly commit: string;
  /** Base that it is a layer on. */
  readonly base: { readonly name: string; readonly version: string };
}

/**
 * Makes a layer of an app's layer and of what an instance wrote over it, in the build repository: there trees release finds
 * it as if it had been built. The instance is paused meanwhile, if it runs. Volumes are no part of it.
 * @throws TreesError INSTANCE_NOT_FOUND, APP_NOT_INSTALLED, BUILD_FAILED, UNSUPPORTED
 */
export async function commitInstance(instance: Instance, options: CommitOptions): Promise<CommittedLayer> {
  const { places, lockTimeout, reporter, signal } = options;
  const generation = generationOf(instance, places);
  const tree = instanceUpper(places, instance);
  if (tree === undefined || !existsSync(tree.upper)) {
    throw new TreesError('BUILD_FAILED', `cannot commit ${instance.name}: it has written nothing to its tree`, {
      hint: 'what is in volumes is no part of an app',
    });
  }
  if (instance.alive && upperKind(tree.upper) === 'fuse-overlayfs') {
    throw new TreesError('UNSUPPORTED', `cannot commit ${instance.name}: it runs, on a tree by fuse-overlayfs`, {
      hint: `what it wrote last is not on disk yet; stop it first: trees stop ${instance.name}`,
    });
  }
  const paths = buildPaths(places.root);
  using _lock = await openWorkspace(paths, { timeout: lockTimeout, signal, reporter });
  const work = makeWork(paths, generation.name);
  try {
    const upper = join(work, 'upper');
    await copyUpper(instance, { from: tree.upper, to: upper, places, lockTimeout, signal });
    const timestamp = Math.floor(Date.now() / 1000);
    const changes = join(work, 'changes');
    extractLayer({
      upper,
      format: upperFormat(tree.upper),
      lower: tree.lower,
      out: changes,
      rules: makeRules({ kind: 'layer', exclude: [], keep: [] }),
      epoch: timestamp,
      warn: (message) => reporter.warn(message),
    });
    using store = await Repo.open(storePaths(places.root).repo);
    const [base, layer] = [join(work, 'base'), join(work, 'layer')];
    await store.checkout(generation.base.commit, base, { mode: 'none', signal });
    // Its files are changed: they must not be the store's.
    await store.checkout(generation.layer, layer, { mode: 'none', forceCopy: true, signal });
    mergeLayer(changes, layer, base);
    using repo = await openBuildRepo(paths, signal);
    await bringBase(store, repo, { generation, directory: base, signal });
    return await commitLayer(store, repo, { ...options, generation, instance, layer, timestamp });
  } finally {
    removeWork(paths, work);
  }
}

function generationOf({ name, app, alive, state }: Instance, { root }: InstancePlaces): Generation {
  const paths = storePaths(root);
  const number = alive ? state?.generation : currentNumber(paths, app);
  const generation = number === undefined ? undefined : readGeneration(paths, app, number);
  if (generation !== undefined) return generation;
  throw new TreesError('APP_NOT_INSTALLED', `cannot commit ${name}: its app ${app} is not installed`);
}

interface CopyUpper {
  readonly from: string;
  readonly to: string;
  readonly places: InstancePlaces;
  readonly lockTimeout: number;
  readonly signal: AbortSignal;
}

/** While nothing can change in it: a running instance is paused, one that does not run is held. */
async function copyUpper(instance: Instance, { from, to, lockTimeout, signal }: CopyUpper): Promise<void> {
  if (!instance.alive) {
    using _claim = await claimInstance(instance.runDir, instance.name, {
      what: 'commit',
      timeout: lockTimeout,
      signal,
    });
    await copyDirectory(from, to);
    return;
  }
  if (instance.status === 'paused') {
    await copyDirectory(from, to);
    return;
  }
  await pauseInstance(instance, { signal });
  try {
    await copyDirectory(from, to);
  } finally {
    // Also when the caller has given up meanwhile.
    await unpauseInstance(instance);
  }
}

/** With owners, attributes, device nodes and holes, sharing blocks where the file system can. */
async function copyDirectory(from: string, to: string): Promise<void> {
  mkdirSync(join(to, '..'), { recursive: true });
  const child = spawn('cp', ['-a', '--reflink=auto', '--', from, to], { stdio: ['ignore', 'ignore', 'pipe'] });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (words += chunk));
  const [status]: unknown[] = await once(child, 'close');
  if (status !== 0) throw new TreesError('BUILD_FAILED', `cannot copy ${from}: ${words.trim() || String(status)}`);
}

/**
 * Gives the build repository the base: the same commit again, from its content. Where that does not give the same, it has to
 * be built there.
 */
async function bringBase(
  store: Repo,
  repo: Repo,
  { generation, directory, signal }: { generation: Generation; directory: string; signal: AbortSignal },
): Promise<void> {
  const { name, version, commit } = generation.base;
  const ref = refName.base(name, generation.arch, version);
  if ((await repo.listRefs(ref)).size > 0) return;
  const { subject, body, timestamp, metadata } = await store.readCommit(commit);
  const made = await repo.commitDirectory(directory, {
    subject,
    body,
    timestamp,
    metadata,
    xattrs: xattrReader(directory),
    signal,
  });
  if (made === commit) await repo.setRef(ref, commit);
}

interface LayerToCommit extends CommitOptions {
  readonly generation: Generation;
  readonly instance: Instance;
  readonly layer: string;
  readonly timestamp: number;
}

async function commitLayer(store: Repo, repo: Repo, input: LayerToCommit): Promise<CommittedLayer> {
  const { generation, instance, layer, timestamp, signal } = input;
  const app = input.app ?? generation.app;
  const taken = await builtVersions(repo, { kind: 'app', name: app }, generation.arch);
  const version = input.version ?? nextFree(generation.version, [...taken.keys(), generation.version]);
  if (taken.has(version)) {
    throw new TreesError('BUILD_FAILED', `cannot commit ${app} ${version}: it is there already`, {
      hint: 'give another --version',
    });
  }
  const { metadata } = await store.readCommit(generation.layer);
  const own: Metadata = {
    ...metadata,
    [commitKey.name]: variant('s', app),
    [commitKey.version]: variant('s', version),
    version: variant('s', version),
  };
  const commit = await repo.commitDirectory(layer, {
    subject: input.message ?? `${app} ${version}, from the instance ${instance.name}`,
    timestamp,
    metadata: own,
    xattrs: xattrReader(layer),
    signal,
  });
  const ref = refName.layer(app, generation.arch, version);
  await repo.setRef(ref, commit);
  const { name, version: baseVersion } = generation.base;
  return { app, version, ref, commit, base: { name, version: baseVersion } };
}
