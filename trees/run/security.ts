import type { RunSpec } from './spec.js';

/** What the container may do: what one invocation asks for. Everything absent comes from the app's own `run:`. */
export type SecurityRequest = Readonly<Record<never, never>>;

/** What the container may do, resolved: part of `ContainerSpec`. */
export type SecuritySpec = Readonly<Record<never, never>>;

/** Pure. */
export function resolveSecurity(_spec: RunSpec, _request: SecurityRequest | undefined): SecuritySpec | undefined {
  return undefined;
}
