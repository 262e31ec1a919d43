/**
 * What a `Retry-After` header says (RFC 9110, 10.2.3): a number of seconds, or a date.
 * @param now milliseconds
 * @returns seconds; undefined if there is none, or it is neither
 */
export function parseRetryAfter(value: string | number | null | undefined, now = Date.now()): number | undefined {
  if (value === null || value === undefined) return undefined;
  const text = String(value).trim();
  if (/^\d+$/.test(text)) return Number(text);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000);
}
