import { noteUnknowable } from '../inputs.js';
import { alreadyRunning, type ClaimOptions, claimInstance } from './instance-claim.js';
import { type Claim, tryClaim } from './instance-locks.js';
import { findInstance, type InstancePlaces, runDirectory } from './instances.js';

export interface NameRequest {
  readonly app: string;
  /** Given by the user. */
  readonly name: string | undefined;
  /** It is over when the caller is, and leaves nothing: no name is worth taking for it. */
  readonly passing: boolean;
  /** What it writes is kept: there can be one of the name only. */
  readonly keeps: boolean;
  readonly replace: boolean;
}

export interface NamedClaim {
  readonly name: string;
  /** Whose data it uses. */
  readonly data: string;
  readonly claim: Claim;
}

const MAX_NAME = 64;
const MAX_NUMBER = 1000;

/**
 * Gives a new instance its name, and holds it. Without one of the user's it is the app's; what keeps nothing can run beside
 * that under a name with a number.
 * @throws TreesError INSTANCE_RUNNING, LOCKED
 */
export async function claimName(
  places: InstancePlaces,
  request: NameRequest,
  options: ClaimOptions,
): Promise<NamedClaim> {
  const { app, name, passing, keeps } = request;
  const claimNamed = async (chosen: string, data: string): Promise<NamedClaim> => {
    if (request.replace) await stopFirst(places, chosen, options);
    return { name: chosen, data, claim: await claimInstance(runDirectory(places, chosen), chosen, options) };
  };
  if (name !== undefined) return await claimNamed(name, name);
  if (passing) {
    noteUnknowable('its name is drawn at random');
    // Only here: every other run would pay for loading it.
    const { randomBytes } = await import('node:crypto');
    return await claimNamed(withSuffix(app, randomBytes(3).toString('hex')), app);
  }
  if (keeps || request.replace) return await claimNamed(app, app);
  for (let number = 1; number < MAX_NUMBER; number++) {
    const candidate = number === 1 ? app : withSuffix(app, String(number));
    const claim = tryClaim(runDirectory(places, candidate));
    if (number > 1) noteUnknowable('its name depends on what else runs');
    if (typeof claim !== 'string') return { name: candidate, data: app, claim };
  }
  throw alreadyRunning(app, options.what);
}

function withSuffix(app: string, suffix: string): string {
  return `${app.slice(0, MAX_NAME - suffix.length - 1)}-${suffix}`;
}

async function stopFirst(places: InstancePlaces, name: string, options: ClaimOptions): Promise<void> {
  const instance = findInstance(places, name);
  if (instance === undefined) return;
  const { stopInstance } = await import('./stop.js');
  await stopInstance(places, instance, { abort: options.signal });
}
