import { TreesError } from '../errors.js';
import { askInstance, encodeWord } from './control.js';
import type { Instance } from './instances.js';

export const serviceVerbs = ['start', 'stop', 'restart', 'reload'] as const;
export type ServiceVerb = (typeof serviceVerbs)[number];

export interface ServiceState {
  readonly name: string;
  /** waiting, starting, running, ready, stopping, stopped, failed or backoff. */
  readonly state: string;
  /** In the container. */
  readonly pid: number | undefined;
  /** Of its last run. */
  readonly exit: number | undefined;
  readonly restarts: number;
  /** none, starting, healthy or unhealthy. */
  readonly health: string;
  readonly main: boolean;
}

/**
 * What the services of an instance do; all of them without names.
 * @throws TreesError UNSUPPORTED when it has none, CONTROL_FAILED when there is no such service
 */
export async function serviceStates(
  instance: Instance,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<ServiceState[]> {
  const { lines } = await askInstance(instance, ['service', 'ls', ...names.map(encodeWord)].join(' '), {}, { signal });
  return lines.map((line) => ({
    name: line['name'] ?? '',
    state: line['state'] ?? '',
    pid: positive(line['pid']),
    exit: line['exit'] === undefined || line['exit'] === '' ? undefined : Number(line['exit']),
    restarts: Number(line['restarts'] ?? 0),
    health: line['health'] ?? 'none',
    main: line['main'] === '1',
  }));
}

/**
 * Starts, stops, restarts or reloads services, and waits until it has come about: as long as that takes.
 * @throws TreesError CONTROL_FAILED when it did not come about
 */
export async function controlServices(
  instance: Instance,
  verb: ServiceVerb,
  options: { readonly names: readonly string[]; readonly timeout?: number | undefined; readonly signal: AbortSignal },
): Promise<void> {
  const { names, timeout = Infinity, signal } = options;
  const request = ['service', verb, ...names.map(encodeWord)].join(' ');
  const { complete } = await askInstance(instance, request, {}, { timeout: timeout * 1000, signal });
  if (complete || verb === 'stop') return;
  throw new TreesError(
    'CONTROL_FAILED',
    `cannot ${verb} ${names.join(', ')} in ${instance.name}: the container ended`,
    {
      details: { name: instance.name, services: names },
    },
  );
}

function positive(text: string | undefined): number | undefined {
  const number = Number(text ?? 0);
  return number > 0 ? number : undefined;
}
