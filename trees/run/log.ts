import type { RunSpec } from './spec.js';

/** Where output is kept: what one invocation asks for. Everything absent comes from the app's own `run:`. */
export type LogRequest = Readonly<Record<never, never>>;

/** Where output is kept, resolved: part of `ContainerSpec`. */
export type LogSpec = Readonly<Record<never, never>>;

/** Pure. */
export function resolveLog(_spec: RunSpec, _request: LogRequest | undefined): LogSpec | undefined {
  return undefined;
}
