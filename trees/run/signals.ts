import { constants } from 'node:os';
import { usageError } from '../errors.js';

const FIRST_REALTIME = 34;
const LAST_REALTIME = 64;

/**
 * A signal's number from what kill(1) takes: `TERM`, `SIGTERM`, `15`, `RTMIN+3`, `RTMAX-1`.
 * @param what names the option in the message
 * @throws TreesError `USAGE`
 */
export function parseSignal(text: string, what: string): number {
  const name = text.toUpperCase().replace(/^SIG/, '');
  const number = /^\d{1,2}$/.test(name) ? Number(name) : (byName(name) ?? realtime(name));
  if (number !== undefined && number >= 1 && number <= LAST_REALTIME) return number;
  throw usageError(`Expected ${what} to be a signal, got "${text}"`, 'a name such as TERM, or a number from 1 to 64');
}

function byName(name: string): number | undefined {
  return Object.entries(constants.signals).find(([known]) => known === `SIG${name}`)?.[1];
}

function realtime(name: string): number | undefined {
  const [, from, sign, offset = '0'] = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name) ?? [];
  if (from === 'MIN' && sign !== '-') return inRange(FIRST_REALTIME + Number(offset));
  if (from === 'MAX' && sign !== '+') return inRange(LAST_REALTIME - Number(offset));
  return undefined;
}

function inRange(number: number): number | undefined {
  return number >= FIRST_REALTIME && number <= LAST_REALTIME ? number : undefined;
}
