import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, TreesError } from '../errors.js';
import { askInstance } from './control.js';
import { findInstance, type Instance, type InstancePlaces, PLAN_COPY } from './instances.js';
import { decodePlan } from './plan-file.js';

export interface StopOptions {
  /** Number; default the instance's own, or TERM. */
  readonly signal?: number | undefined;
  /** Seconds until KILL; default the instance's own, or 10. */
  readonly timeout?: number | undefined;
  readonly abort?: AbortSignal | undefined;
}

/** Beyond the time that the launcher waits before it kills; for loaded machines. */
const PATIENCE_MS = 60_000;
const DEFAULT_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/**
 * Stops an instance and waits until it is gone. Its restart policy does not bring it back.
 * @returns false if it had ended before
 * @throws TreesError CONTROL_FAILED
 */
export async function stopInstance(
  places: InstancePlaces,
  instance: Instance,
  options: StopOptions = {},
): Promise<boolean> {
  if (!instance.alive) return false;
  const timeout = options.timeout === undefined ? undefined : Math.round(options.timeout * 1000);
  const limit = (timeout ?? ownTimeout(instance)) + PATIENCE_MS;
  try {
    await askInstance(instance, 'stop', { signal: options.signal, timeout }, { timeout: limit, signal: options.abort });
  } catch (error) {
    // It may have ended while we asked, or have nobody to ask yet.
    const gone = error instanceof TreesError && error.code === 'INSTANCE_NOT_RUNNING';
    if (!gone) throw error;
    if (await hasEnded(places, instance, limit)) return true;
    throw error;
  }
  if (await hasEnded(places, instance, limit)) return true;
  throw new TreesError('CONTROL_FAILED', `cannot stop ${instance.name}: its launcher is still there`, {
    hint: `see what keeps it: trees inspect ${instance.name}`,
    details: { name: instance.name },
  });
}

/** The launcher answers a moment before it lets go of the instance. */
export async function hasEnded(places: InstancePlaces, { name, state }: Instance, limit: number): Promise<boolean> {
  for (const end = performance.now() + limit; ; await sleep(POLL_MS)) {
    const now = findInstance(places, name);
    if (now?.alive !== true || (state !== undefined && now.state?.id !== state.id)) return true;
    if (performance.now() >= end) return false;
  }
}

function ownTimeout({ runDir }: Instance): number {
  try {
    return decodePlan(readFileSync(join(runDir, PLAN_COPY))).supervision?.stopTimeout ?? DEFAULT_TIMEOUT_MS;
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof RangeError) return DEFAULT_TIMEOUT_MS;
    throw error;
  }
}
