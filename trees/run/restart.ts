import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf, TreesError } from '../errors.js';
import { type Generation, IN_USE_FILE } from '../store/generations.js';
import { tryLock } from '../store/locks.js';
import { storePaths } from '../store/paths.js';
import { compilePlan } from './compile.js';
import type { ContainerSpec } from './container.js';
import { askInstance } from './control.js';
import { claimInstance } from './instance-claim.js';
import { findInstance, type Instance, PLAN_COPY } from './instances.js';
import { startContainer } from './launcher.js';
import type { RunSettings } from './prepare.js';
import { readRunSpec } from './read-run-spec.js';
import type { HealthSpec } from './spec.js';
import { newestGeneration, prepareAgain, startInstance } from './start.js';

export interface RestartOptions {
  readonly settings: RunSettings;
  /** Default: the app's current one. */
  readonly generation?: Generation | undefined;
  /** Seconds between the stop signal and KILL; default the instance's own. */
  readonly timeout?: number | undefined;
  /** Seconds to become healthy in, on another generation; default what its checks need at the most. */
  readonly patience?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Restarted {
  /** Number of the generation before; absent if it did not run. */
  readonly from: number | undefined;
  readonly to: number;
}

const NEXT_PLAN = 'next.plan';
const DEFAULT_STOP_SECONDS = 10;
/** Beyond the time that something may take at the most; for loaded machines. */
const MARGIN_SECONDS = 60;
/** What has no health checks counts as healthy when it has run for so long. */
const SETTLE_SECONDS = 2;
const READY_SECONDS = 60;
/** A system waits up to 90 s for a service that does not start, and is ready without it. */
const BOOT_SECONDS = 180;
const POLL_MS = 50;

/**
 * Restarts an instance on a generation of its app, with the options it was run with; its launcher, its terminal and whoever
 * is attached stay. On another generation than before it has to become healthy, or else it goes back to what it was.
 * @throws TreesError UNHEALTHY when it had to go back, and as `startInstance`
 */
export async function restartInstance(instance: Instance, options: RestartOptions): Promise<Restarted> {
  const { settings, signal } = options;
  const generation = options.generation ?? newestGeneration(settings, instance, 'restart');
  if (!instance.alive) {
    await startInstance(instance, { settings, what: 'restart', generation, signal });
    return { from: undefined, to: generation.number };
  }
  const from = instance.state?.generation;
  const { container, makeDirectories } = await prepareAgain(instance, {
    settings,
    what: 'restart',
    generation,
    signal,
  });
  makeDirectories();
  const plan = withCallersTerminal(container, instance);
  if (from === undefined || from === generation.number) {
    await moveTo(instance, compilePlan(plan), options);
    return { from, to: generation.number };
  }
  using _old = holdGeneration(settings, instance.app, from);
  const before = readFileSync(join(instance.runDir, PLAN_COPY));
  try {
    await moveTo(instance, compilePlan(plan), options);
    await requireHealthy(instance, container, { ...options, generation });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    await goBack(instance, before, options);
    throw new TreesError(
      'UNHEALTHY',
      `cannot restart ${instance.name} on generation ${generation.number} of ${instance.app}: ${reasonOf(error)}; ` +
        `it runs on generation ${from} again`,
      {
        hint: `see what it says: trees logs ${instance.name}`,
        cause: error,
        details: { name: instance.name, from, to: generation.number },
      },
    );
  }
  return { from, to: generation.number };
}

/** A launcher in the foreground goes on with the terminal it has. */
function withCallersTerminal(container: ContainerSpec, { state }: Instance): ContainerSpec {
  const { supervision } = container;
  if (state?.detached !== false || supervision === undefined) return container;
  return { ...container, supervision: { ...supervision, tty: undefined, stdin: undefined } };
}

/** Lets the launcher stop the container and start the plan. It holds the instance all the time. */
async function moveTo(instance: Instance, plan: Uint8Array, options: RestartOptions): Promise<void> {
  const file = join(instance.runDir, NEXT_PLAN);
  const timeout = options.timeout === undefined ? undefined : Math.round(options.timeout * 1000);
  const limit = ((options.timeout ?? DEFAULT_STOP_SECONDS) + MARGIN_SECONDS) * 1000;
  writeFileSync(file, plan, { mode: 0o600 });
  try {
    await askInstance(instance, 'restart', { plan: file, timeout }, { timeout: limit, signal: options.signal });
  } finally {
    rmSync(file, { force: true });
  }
}

async function goBack(instance: Instance, plan: Uint8Array, options: RestartOptions): Promise<void> {
  if (findInstance(options.settings, instance.name)?.alive === true) {
    try {
      await moveTo(instance, plan, options);
      return;
    } catch (error) {
      // Its launcher has ended together with what would not run: then it takes a new one.
      if (!(error instanceof TreesError) || findInstance(options.settings, instance.name)?.alive === true) throw error;
    }
  }
  using claim = await claimInstance(instance.runDir, instance.name, {
    what: 'restart',
    timeout: options.settings.lockTimeout,
    signal: options.signal,
  });
  await startContainer(plan, { hold: [claim.fd] });
}

/** @throws TreesError UNHEALTHY */
async function requireHealthy(
  instance: Instance,
  container: ContainerSpec,
  options: RestartOptions & { readonly generation: Generation },
): Promise<void> {
  const { health, services } = readRunSpec(options.generation);
  const boots = container.system?.notify === true;
  const checks = findInstance(options.settings, instance.name)?.state?.health !== 'none';
  const ready = boots || services !== undefined;
  const limit = boots ? BOOT_SECONDS : ready ? READY_SECONDS : SETTLE_SECONDS;
  const patience = options.patience ?? (checks ? longest(health) : limit);
  const started = performance.now();
  let runs: number | undefined;
  for (;;) {
    const now = findInstance(options.settings, instance.name);
    const state = now?.state;
    runs ??= state?.restarts;
    if (now?.alive !== true) throw unhealthy(`it ended with ${state?.exit ?? 'an unknown status'}`);
    if (now.status === 'restarting' || state?.restarts !== runs) throw unhealthy('it ended at once');
    if (state?.health === 'unhealthy') throw unhealthy('it is unhealthy');
    if (state?.health === 'healthy') return;
    const waited = (performance.now() - started) / 1000;
    if (ready && state?.health === 'none' && state.ready) return;
    if (waited >= patience) {
      if (state?.health === 'none' && !ready) return;
      throw unhealthy(`it is not ${ready ? 'ready' : 'healthy'} after ${Math.round(waited)} s`);
    }
    await sleep(POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

function unhealthy(why: string): TreesError {
  return new TreesError('UNHEALTHY', why);
}

const DEFAULT_CHECK_SECONDS = 30;
const DEFAULT_RETRIES = 3;

/** Seconds until checks that fail make it unhealthy. */
function longest(health: HealthSpec | undefined): number {
  const { interval = DEFAULT_CHECK_SECONDS, timeout = DEFAULT_CHECK_SECONDS, retries = DEFAULT_RETRIES } = health ?? {};
  return (health?.startPeriod ?? 0) + retries * (interval + timeout) + MARGIN_SECONDS;
}

function holdGeneration(settings: RunSettings, app: string, number: number): Disposable | undefined {
  return tryLock(join(storePaths(settings.root).generation(app, number), IN_USE_FILE), 'shared');
}
