import { setTimeout as sleep } from 'node:timers/promises';
import { TreesError } from '../errors.js';
import { askInstance } from './control.js';
import { findInstance, type Instance, type InstancePlaces, type InstanceStatus } from './instances.js';

export type WaitCondition = InstanceStatus | 'healthy' | 'unhealthy' | 'ready' | 'removed';

/** Every status and condition that can be waited for. */
export const waitConditions: readonly WaitCondition[] = [
  'starting',
  'running',
  'paused',
  'stopping',
  'restarting',
  'stopped',
  'exited',
  'failed',
  'healthy',
  'unhealthy',
  'ready',
  'removed',
];

export interface WaitOptions {
  /** Seconds. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const POLL_MS = 50;
/** The launcher's last word is written a moment before or after it closes its socket. */
const LAST_WORD_MS = 2000;

/**
 * Waits until an instance has ended for good, whoever started it.
 * @returns its exit status
 * @throws TreesError WAIT_FAILED when that is not known: it was killed together with its launcher
 */
export async function waitForEnd(places: InstancePlaces, instance: Instance, options: WaitOptions): Promise<number> {
  if (!instance.alive) return knownExit(instance);
  const milliseconds = options.timeout === undefined ? Infinity : options.timeout * 1000;
  const lines = await askForEnd(instance, { timeout: milliseconds, signal: options.signal });
  const told = lines.findLast((line) => line['exit'] !== undefined)?.['exit'];
  if (told !== undefined) return Number(told);
  for (const end = performance.now() + LAST_WORD_MS; performance.now() < end; await sleep(POLL_MS)) {
    const now = findInstance(places, instance.name);
    if (now !== undefined && now.state?.id === instance.state?.id && !now.alive) return knownExit(now);
  }
  throw unknown(instance.name);
}

/** Nothing when it ended between looking and asking. */
async function askForEnd(
  instance: Instance,
  options: { readonly timeout: number; readonly signal: AbortSignal | undefined },
): Promise<Awaited<ReturnType<typeof askInstance>>['lines']> {
  try {
    return (await askInstance(instance, 'wait', {}, options)).lines;
  } catch (error) {
    if (error instanceof TreesError && error.code === 'INSTANCE_NOT_RUNNING') return [];
    throw error;
  }
}

function knownExit({ name, status, state }: Instance): number {
  if ((status === 'exited' || status === 'failed') && state?.exit !== undefined) return state.exit;
  throw unknown(name);
}

function unknown(name: string): TreesError {
  return new TreesError('WAIT_FAILED', `cannot tell how ${name} ended: it was not there to be asked when it did`, {
    details: { name },
  });
}

/**
 * Waits until one of the conditions holds.
 * @returns the one that does
 * @throws TreesError WAIT_FAILED when time is up, or when the instance has ended and none can hold any more
 */
export async function waitForCondition(
  places: InstancePlaces,
  instance: Instance,
  { conditions, timeout, signal }: WaitOptions & { readonly conditions: readonly WaitCondition[] },
): Promise<WaitCondition> {
  const { name } = instance;
  const end = timeout === undefined ? Infinity : performance.now() + timeout * 1000;
  for (;;) {
    const now = findInstance(places, name);
    const met = conditions.find((condition) => holds(now, condition));
    if (met !== undefined) return met;
    const hopeless = now?.alive !== true && !conditions.includes('removed');
    if (hopeless || performance.now() >= end) {
      const why = hopeless ? `it is ${now?.status ?? 'gone'}` : `it is ${now?.status ?? 'gone'} after ${timeout} s`;
      throw new TreesError('WAIT_FAILED', `cannot wait for ${name} to be ${conditions.join(' or ')}: ${why}`, {
        details: { name, status: now?.status ?? null },
      });
    }
    await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal });
  }
}

function holds(instance: Instance | undefined, condition: WaitCondition): boolean {
  if (instance === undefined) return condition === 'removed' || condition === 'stopped';
  const { status, alive, state } = instance;
  if (condition === 'stopped') return !alive;
  if (condition === 'removed') return false;
  if (condition === 'healthy' || condition === 'unhealthy') return alive && state?.health === condition;
  return condition === 'ready' ? alive && state?.ready === true : status === condition;
}
