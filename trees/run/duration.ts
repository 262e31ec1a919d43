import { usageError } from '../errors.js';

const units: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/**
 * Seconds from what podman takes: `30s`, `1m30s`, `500ms`, or a plain number of seconds.
 * @param what names the option in the message
 * @throws TreesError `USAGE`
 */
export function parseDuration(text: string, what: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) {
    throw usageError(`Expected ${what} to be a duration such as 30s or 1m30s, got "${text}"`);
  }
  return parts.reduce((sum, [, number, unit = '']) => sum + Number(number) * (units[unit] ?? 0), 0);
}
