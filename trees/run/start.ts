import { TreesError } from '../errors.js';
import { type Generation, requireInstalled } from '../store/generations.js';
import { storePaths } from '../store/paths.js';
import { compilePlan } from './compile.js';
import { claimInstance } from './instance-claim.js';
import { findInstanceSpec, type InstanceSpec } from './instance-spec.js';
import type { Instance } from './instances.js';
import { startContainer } from './launcher.js';
import { prepareContainer, type RunSettings } from './prepare.js';
import { plainRequest, type RunRequest } from './resolve.js';

export interface StartOptions {
  readonly settings: RunSettings;
  /** For messages. */
  readonly what: string;
  /** Default: the app's current one. */
  readonly generation?: Generation | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Started {
  readonly generation: Generation;
}

/**
 * Starts an instance that has ended again, detached, as it was run: on the current generation of its app.
 * @throws TreesError INSTANCE_RUNNING, APP_NOT_INSTALLED, LAUNCH_FAILED and others
 */
export async function startInstance(instance: Instance, options: StartOptions): Promise<Started> {
  const { settings, signal } = options;
  const generation = options.generation ?? newestGeneration(settings, instance, options.what);
  using claim = await claimInstance(instance.runDir, instance.name, {
    what: options.what,
    timeout: settings.lockTimeout,
    signal,
  });
  const prepared = await prepareAgain(instance, { ...options, generation });
  prepared.makeDirectories();
  await startContainer(compilePlan(prepared.container), { hold: [claim.fd] });
  return { generation };
}

/** What `start` and `restart` make of an instance on a generation. */
export async function prepareAgain(instance: Instance, options: StartOptions & { readonly generation: Generation }) {
  const spec = findInstanceSpec(instance);
  return await prepareContainer({
    settings: options.settings,
    generation: options.generation,
    name: instance.name,
    data: dataName(instance, spec),
    request: detached(spec),
    userns: spec?.userns === 'host' ? 'host' : 'auto',
    detached: !instance.alive || instance.state?.detached !== false,
    dryRun: false,
    signal: options.signal,
  });
}

/** @throws TreesError APP_NOT_INSTALLED */
export function newestGeneration(settings: RunSettings, { name, app }: Instance, what: string): Generation {
  try {
    return requireInstalled(storePaths(settings.root), app).current;
  } catch (error) {
    if (!(error instanceof TreesError) || error.code !== 'APP_NOT_INSTALLED') throw error;
    throw new TreesError('APP_NOT_INSTALLED', `cannot ${what} ${name}: its app ${app} is not installed`, {
      hint: `install it again: trees install ${app}`,
      cause: error,
    });
  }
}

/** As it was asked for; what had the caller's terminal gets one of its own. */
function detached(spec: InstanceSpec | undefined): RunRequest {
  if (spec === undefined) return plainRequest;
  const { request, tty } = spec;
  return tty ? { ...request, supervision: { ...request.supervision, tty: true, stdin: true } } : request;
}

function dataName({ name }: Instance, spec: InstanceSpec | undefined): string {
  return spec?.data ?? name;
}
