import { usageError } from '../errors.js';

/** @throws TreesError USAGE */
export function readGenerationNumber(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw usageError(
    `Expected generation to be a number as in trees history, got "${text}"`,
    'trees history APP lists the generations that there are',
  );
}
