import { TreesError, usageError } from '../errors.js';
import type { ServicesSpec } from './service-spec.js';
import type { RunSpec } from './spec.js';

export type { ServicesSpec } from './service-spec.js';

export const DEFAULT_STOP_TIMEOUT = 10;

/** Which services run in the container: what one invocation asks for. */
export interface ServicesRequest {
  /** In place of the app's. */
  readonly services?: ServicesSpec | undefined;
}

/**
 * The services that one invocation runs, `undefined` when it runs a command: a command that was given wins over
 * everything, then what `mode` says, then services over the app's own command. Pure.
 *
 * @throws TreesError `UNSUPPORTED` when services are asked for and there are none, `USAGE` for services without an init
 */
export function resolveServices(
  spec: RunSpec,
  request: {
    readonly command: readonly string[];
    readonly services?: ServicesRequest | undefined;
    readonly noInit?: boolean | undefined;
  },
): ServicesSpec | undefined {
  const asked = request.services?.services;
  if (asked === undefined && (request.command.length > 0 || spec.mode === 'process' || spec.mode === 'init')) {
    return undefined;
  }
  const services = asked ?? spec.services ?? {};
  if (Object.keys(services).length > 0 && request.noInit === true) {
    throw usageError('Expected --no-init with a command, got it with services: they are what the init runs');
  }
  if (Object.keys(services).length > 0) return withDefaults(services, spec);
  if (spec.mode !== 'services') return undefined;
  throw new TreesError('UNSUPPORTED', 'cannot run services: mode is services, and none are declared', {
    hint: 'declare them under services:, or give a file: --services FILE',
    status: 125,
  });
}

/** The app's own settings are those of services that say nothing else. */
function withDefaults(services: ServicesSpec, { stopTimeout, stopSignal }: RunSpec): ServicesSpec {
  return Object.fromEntries(
    Object.entries(services).map(([name, service]) => [
      name,
      {
        ...service,
        stopTimeout: service.stopTimeout ?? stopTimeout ?? DEFAULT_STOP_TIMEOUT,
        stopSignal: service.stopSignal ?? (service.main === true ? stopSignal : undefined) ?? 'TERM',
      },
    ]),
  );
}

/** What stands for the services where one command is expected: that of the main one, or of the first. */
export function leadingCommand(services: ServicesSpec): readonly string[] {
  const all = Object.values(services);
  return (all.find((service) => service.main === true) ?? all[0])?.exec ?? [];
}

/**
 * Seconds after which all services have ended when they are asked to, however stubborn they are: the longest chain of
 * what has to wait for each other.
 */
export function longestStop(specs: ServicesSpec): number {
  const known = new Map<string, number>();
  const visit = (name: string): number => {
    const before = known.get(name);
    const spec = specs[name];
    if (before !== undefined || spec === undefined) return before ?? 0;
    const { after = [], requires = [], wants = [], preStop, postStop } = spec;
    const own = spec.stopTimeout ?? DEFAULT_STOP_TIMEOUT;
    const hooks = own * ((preStop === undefined ? 0 : 1) + (postStop === undefined ? 0 : 1));
    const result = own + hooks + Math.max(0, ...[...after, ...requires, ...wants].map(visit));
    known.set(name, result);
    return result;
  };
  return Math.max(0, ...Object.keys(specs).map(visit));
}
