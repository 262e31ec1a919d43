import type { RunSpec } from './spec.js';

/** How the container is started, watched and ended: what one invocation asks for. Everything absent comes from the app's own `run:`. */
export type SupervisionRequest = Readonly<Record<never, never>>;

/** How the container is started, watched and ended, resolved: part of `ContainerSpec`. */
export type SupervisionSpec = Readonly<Record<never, never>>;

/** Pure. */
export function resolveSupervision(
  _spec: RunSpec,
  _request: SupervisionRequest | undefined,
): SupervisionSpec | undefined {
  return undefined;
}
