import { statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, TreesError, usageError } from '../errors.js';
import { noteInput } from '../inputs.js';
import { type Generation, IN_USE_FILE } from '../store/generations.js';
import { type StorePaths, storePaths } from '../store/paths.js';
import { cgroupHost } from './cgroup-plan.js';
import type { ContainerSpec } from './container.js';
import { declaredRun } from './declared-run.js';
import { findInit } from './find-init.js';
import { allocateIds } from './ids.js';
import {
  findOwner,
  type InstancePaths,
  instancePaths,
  prepareUpper,
  prepareVolume,
  recordApp,
  type VolumeOwner,
} from './instance.js';
import { runDirectory } from './instances.js';
import { declaredVolumes, type RunPlace, type RunRequest, resolveContainer } from './resolve.js';
import type { RunSpec } from './spec.js';
import { askedIds, unprivilegedIds } from './userns.js';
import { findTreeDirectory } from './volume-content.js';

/** Where this machine keeps things. Part of `Settings`. */
export interface RunSettings {
  readonly root: string;
  readonly runtimeDir: string;
  readonly logDir: string;
  /** Seconds. */
  readonly lockTimeout: number;
}

export interface PrepareInput {
  readonly settings: RunSettings;
  readonly generation: Generation;
  /** Name of the instance. */
  readonly name: string;
  /** Whose data it uses: its own, unless it is one that keeps nothing beside another one. */
  readonly data: string;
  readonly request: RunRequest;
  readonly userns: 'auto' | 'host';
  /** Nobody sees its output but by its logs. */
  readonly detached: boolean;
  readonly dryRun: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** A container whose directories are not made yet. */
export interface Prepared {
  readonly container: ContainerSpec;
  /** Makes the directories that it needs. The caller holds the instance. */
  makeDirectories(this: void): void;
}

/**
 * The container of an instance of a generation.
 * @throws TreesError `STORE_CORRUPT`, `USAGE`, `LAUNCH_FAILED`, and as `resolveContainer` and `allocateIds`
 */
export async function prepareContainer(input: PrepareInput): Promise<Prepared> {
  const { settings, generation, request } = input;
  const paths = storePaths(settings.root);
  const spec = await declaredRun(generation, paths.generation(generation.name, generation.number));
  const own = instancePaths(paths, input.data);
  const rootfs = paths.rootfs(generation.name, generation.number);
  const place: RunPlace = {
    app: generation.name,
    generation: generation.number,
    instance: input.data,
    name: input.name,
    runDir: runDirectory(settings, input.name),
    logDirectory: join(settings.logDir, input.name),
    rootfs,
    lockFile: join(paths.generation(generation.name, generation.number), IN_USE_FILE),
    upper: own.upper,
    work: own.work,
    ownLock: own.lock,
    userns: await chooseUserns(paths, input, request.user ?? spec.user),
    volume: (name) => own.volume(name),
    cgroupHost,
    findInit: (mode) => findInit(rootfs, mode),
  };
  const resolved = resolveContainer(spec, request, place);
  // What one process in the foreground writes is the caller's, byte for byte, unless it is asked for in the logs.
  const logs = input.detached || resolved.services !== undefined || request.log !== undefined;
  const container = logs ? resolved : { ...resolved, log: undefined };
  return {
    container,
    makeDirectories: () => makeDirectories({ spec, request, place, own, container }),
  };
}

async function chooseUserns(
  paths: StorePaths,
  input: PrepareInput,
  user: string | undefined,
): Promise<RunPlace['userns']> {
  const root = process.geteuid?.() === 0;
  const asked = input.request.security?.ids;
  if (asked !== undefined) return askedIds(asked, root);
  if (input.userns === 'host') {
    if (root) return 'host';
    throw usageError('Expected --userns to be auto, got host: only root can do without a user namespace');
  }
  if (!root) return unprivilegedIds(user);
  if (input.dryRun) return { start: 1, count: 1 };
  return await allocateIds(paths, input.data, { timeout: input.settings.lockTimeout, signal: input.signal });
}

interface Parts {
  readonly spec: RunSpec;
  readonly request: RunRequest;
  readonly place: RunPlace;
  readonly own: InstancePaths;
  readonly container: ContainerSpec;
}

function makeDirectories({ spec, request, place, own, container }: Parts): void {
  checkSources(request);
  recordApp(own, place.app);
  if (container.upper.kind === 'persistent') prepareUpper(own, place.rootfs);
  const content = (target: string): string | undefined => findTreeDirectory(place.rootfs, target);
  for (const { name, mode, user, target } of declaredVolumes(spec)) {
    prepareVolume(place.volume(name), {
      mode,
      owner: () => findOwner(place.rootfs, user),
      content: () => content(target),
    });
  }
  const owner = (): VolumeOwner => findOwner(place.rootfs, request.user ?? spec.user);
  for (const mount of request.mounts) {
    if (mount.kind !== 'volume') continue;
    const copied = (): string | undefined => (mount.copy === false ? undefined : content(mount.target));
    prepareVolume(place.volume(mount.name), { mode: 0o755, owner, content: copied, like: true });
  }
}

/** Named here, before anything is started, with the path as the user gave it. */
function checkSources(request: RunRequest): void {
  for (const mount of request.mounts) {
    if (mount.kind !== 'bind') continue;
    try {
      statSync(mount.source);
      noteInput('there', mount.source);
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
      throw new TreesError('LAUNCH_FAILED', `cannot mount ${mount.source} on ${mount.target}: it does not exist`, {
        hint: 'create it first; trees makes mount points in the container, never sources on the host',
      });
    }
  }
}
