import { usageError } from '../errors.js';

/** An option's number of seconds. @throws TreesError `USAGE` when it is negative or no number */
export function readSeconds(value: number | undefined, option: string): number | undefined {
  if (value === undefined || (value >= 0 && Number.isFinite(value))) return value;
  throw usageError(`Expected ${option} to be a number of seconds, got ${value}`);
}
