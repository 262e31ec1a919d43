import type { RunSpec } from './spec.js';

/** Which services run in the container, and how: what one invocation asks for. Everything absent comes from the app's own `run:`. */
export type ServicesRequest = Readonly<Record<never, never>>;

/** Which services run in the container, and how, resolved: part of `ContainerSpec`. */
export type ServicesSpec = Readonly<Record<never, never>>;

/** Pure. */
export function resolveServices(_spec: RunSpec, _request: ServicesRequest | undefined): ServicesSpec | undefined {
  return undefined;
}
