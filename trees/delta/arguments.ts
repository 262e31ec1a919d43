/** Argument checks: the addon gets clean values. */

const CHECKSUM = /^[0-9a-f]{64}$/;

/** @throws TypeError unless `value` is 64 lowercase hexadecimal digits. */
export function checkChecksum(name: string, value: unknown): void {
  if (typeof value !== 'string' || !CHECKSUM.test(value))
    throw new TypeError(`Expected ${name} to be 64 lowercase hexadecimal digits, got ${JSON.stringify(value)}`);
}

/** Local refs that libostree accepts: words of letters, digits, `.`, `_` and `-`, separated by slashes. */
const REF = /^[\w.-]+(?:\/[\w.-]+)*$/;

/** Whether libostree accepts `value` as a local ref. */
export function isRef(value: string): boolean {
  return REF.test(value) && !value.startsWith('.') && !value.startsWith('-') && !value.includes('/.');
}

/** @throws TypeError unless `value` is an integer in [least, most]. */
export function checkInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new TypeError(`Expected ${name} to be an integer from ${least} to ${most}, got ${value}`);
}
