import { readFileSync } from 'node:fs';
import { TreesError } from '../errors.js';
import { storePaths } from '../store/paths.js';
import type { CopyRoot } from './copy-tree.js';
import { instancePaths, prepareUpper } from './instance.js';
import { claimInstance } from './instance-claim.js';
import type { Claim } from './instance-locks.js';
import { instanceUpper } from './instance-tree.js';
import type { Instance } from './instances.js';
import { openMergedRoot } from './merged-directory.js';
import type { RunSettings } from './prepare.js';
import { openRunningRoot } from './root-view.js';
import { openSafeDirectory } from './safe-directory.js';
import { newestGeneration, prepareAgain } from './start.js';
import { upperFormat } from './upper-format.js';

export interface OpenRootOptions {
  readonly settings: RunSettings;
  readonly signal?: AbortSignal | undefined;
}

export interface InstanceRoot extends Disposable {
  readonly side: CopyRoot;
}

/**
 * The root of an instance for copying: that of its first process while it runs, otherwise its tree with what it wrote and
 * its volumes. One that does not run is held meanwhile.
 * @throws TreesError
 */
export async function openInstanceRoot(instance: Instance, options: OpenRootOptions): Promise<InstanceRoot> {
  return instance.alive ? runningRoot(instance) : await stoppedRoot(instance, options);
}

function runningRoot(instance: Instance): InstanceRoot {
  const root = openRunningRoot(instance);
  const start = firstId(instance.state?.init?.pid ?? 0);
  const asRoot = process.geteuid?.() === 0;
  return {
    side: { root, firstId: asRoot ? start : undefined, asOwner: asRoot && start > 0 },
    [Symbol.dispose]: () => root[Symbol.dispose](),
  };
}

/** The id outside of a container's root. */
function firstId(pid: number): number {
  const [, start = '0'] = /^\s*0\s+(\d+)\s/m.exec(readFileSync(`/proc/${pid}/uid_map`, 'utf8')) ?? [];
  return Number(start);
}

async function stoppedRoot(instance: Instance, { settings, signal }: OpenRootOptions): Promise<InstanceRoot> {
  const { name } = instance;
  const claim: Claim = await claimInstance(instance.runDir, name, {
    what: 'copy',
    timeout: settings.lockTimeout,
    signal,
  });
  try {
    const tree = instanceUpper(settings, instance);
    if (tree === undefined) {
      throw new TreesError('APP_NOT_INSTALLED', `cannot copy: the app ${instance.app} of ${name} is not installed`);
    }
    const generation = newestGeneration(settings, instance, 'copy');
    const { container, makeDirectories } = await prepareAgain(instance, { settings, what: 'copy', generation, signal });
    makeDirectories();
    prepareUpper(instancePaths(storePaths(settings.root), name), tree.lower);
    const mounts = (container.mounts ?? []).flatMap((mount): [string, string][] =>
      mount.kind === 'bind' ? [[mount.target, mount.source]] : [],
    );
    const opaque = container.userns === 'host' ? 'trusted.overlay.opaque' : 'user.overlay.opaque';
    const root = openMergedRoot({ ...tree, mounts: new Map(mounts), format: upperFormat(tree.upper, opaque) });
    return {
      // On disk ids are those in the container: idmapped mounts translate them.
      side: { root, firstId: process.geteuid?.() === 0 ? 0 : undefined, asOwner: false },
      [Symbol.dispose]: () => {
        root[Symbol.dispose]();
        claim[Symbol.dispose]();
      },
    };
  } catch (error) {
    claim[Symbol.dispose]();
    throw error;
  }
}

/** This machine's side. */
export function openHostRoot(): InstanceRoot {
  const root = openSafeDirectory('/');
  const uid = process.geteuid?.() ?? 0;
  return {
    side: { root, firstId: uid === 0 ? 0 : undefined, asOwner: false },
    [Symbol.dispose]: () => root[Symbol.dispose](),
  };
}
