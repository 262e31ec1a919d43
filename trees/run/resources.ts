import type { RunSpec } from './spec.js';

/** How much the container may use: what one invocation asks for. Everything absent comes from the app's own `run:`. */
export type ResourcesRequest = Readonly<Record<never, never>>;

/** How much the container may use, resolved: part of `ContainerSpec`. */
export type ResourcesSpec = Readonly<Record<never, never>>;

/** Pure. */
export function resolveResources(_spec: RunSpec, _request: ResourcesRequest | undefined): ResourcesSpec | undefined {
  return undefined;
}
