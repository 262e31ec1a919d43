import { usageError } from '../../errors.js';

const SECONDS = new Map([
  ['s', 1],
  ['m', 60],
  ['h', 3600],
  ['d', 86_400],
  ['w', 604_800],
]);
const DURATION = /^(?:\d+(?:\.\d+)?[smhdw])+$/;
const PART = /(\d+(?:\.\d+)?)([smhdw])/g;

/**
 * A point in time as podman and journalctl take it: RFC 3339 (without a zone: local time), seconds since 1970, or how long
 * ago: `10m`, `1h30m`, `2d`.
 *
 * @param now milliseconds since 1970
 * @returns as in `LogEntry.time`
 * @throws TreesError `USAGE`
 */
export function parseTime(text: string, option: string, now: number): string {
  const seconds = /^\d{9,}(\.\d{1,9})?$/.test(text) ? text : undefined;
  if (seconds !== undefined) {
    const [whole = '0', fraction = ''] = seconds.split('.');
    return toLogTime(Number(whole) * 1000, fraction);
  }
  if (DURATION.test(text)) {
    const ago = [...text.matchAll(PART)].reduce(
      (sum, [, n, unit = 's']) => sum + Number(n) * (SECONDS.get(unit) ?? 1),
      0,
    );
    return toLogTime(now - ago * 1000);
  }
  const date = Date.parse(text);
  if (!Number.isNaN(date) && /^\d{4}-\d\d-\d\d/.test(text)) {
    return toLogTime(date, /\.(\d{1,9})(?:Z|[+-]\d\d:?\d\d)?$/i.exec(text)?.[1]);
  }
  throw usageError(
    `Expected ${option} to be a time, got "${text}"`,
    'a date such as 2026-01-31T08:00:00Z, seconds since 1970, or how long ago, such as 90s, 10m, 1h30m, 2d',
  );
}

/** @param fraction digits of the second, where they are finer than a millisecond */
function toLogTime(milliseconds: number, fraction?: string): string {
  const iso = new Date(milliseconds).toISOString();
  const digits = fraction ?? iso.slice(20, 23);
  return `${iso.slice(0, 19)}.${digits.padEnd(9, '0')}Z`;
}
