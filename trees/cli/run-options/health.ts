import { usageError } from '../../errors.js';
import { parseDuration } from '../../run/duration.js';
import type { HealthSpec } from '../../run/spec.js';
import type { Args, OptionSpec } from '../command.js';

/** How it is found out whether the command does its work: in place of what the app declares. */
export const healthOptions = {
  'health-cmd': {
    type: 'string',
    value: 'COMMAND',
    describe: 'check run in the container, by its shell unless it is a JSON list; none: no checks',
  },
  'health-interval': { type: 'string', value: 'DURATION', describe: 'between checks; default 30s' },
  'health-timeout': { type: 'string', value: 'DURATION', describe: 'after which a check is killed; default 30s' },
  'health-retries': { type: 'number', value: 'N', describe: 'failures in a row until unhealthy; default 3' },
  'health-start-period': {
    type: 'string',
    value: 'DURATION',
    describe: 'at the start, in which failures do not count; default 0s',
  },
  'health-on-failure': {
    type: 'string',
    choices: ['none', 'kill', 'restart', 'stop'],
    describe: 'what happens when it is unhealthy; default none',
  },
  'no-healthcheck': { type: 'boolean', describe: 'do without the checks that the app declares' },
} as const satisfies Record<string, OptionSpec>;

type HealthArgs = Args<typeof healthOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readHealth(args: HealthArgs): HealthSpec | 'none' | undefined {
  const command = args['health-cmd'];
  if (args['no-healthcheck'] === true || command === 'none') return 'none';
  const onFailure = args['health-on-failure'];
  const health: Omit<HealthSpec, 'exec'> = {
    ...seconds('interval', args['health-interval'], true),
    ...seconds('timeout', args['health-timeout'], true),
    ...seconds('startPeriod', args['health-start-period'], false),
    ...(args['health-retries'] === undefined ? {} : { retries: positive(args['health-retries']) }),
    ...(onFailure === 'none' || onFailure === 'kill' || onFailure === 'restart' || onFailure === 'stop'
      ? { onFailure }
      : {}),
  };
  if (command !== undefined) return { exec: readCommand(command, '--health-cmd'), ...health };
  if (Object.keys(health).length === 0) return undefined;
  throw usageError('Expected --health-cmd with the other options of health checks, got none');
}

const optionOf = { interval: '--health-interval', timeout: '--health-timeout', startPeriod: '--health-start-period' };

function seconds(
  member: keyof typeof optionOf,
  text: string | undefined,
  more: boolean,
): Pick<HealthSpec, keyof typeof optionOf> {
  if (text === undefined) return {};
  const value = parseDuration(text, optionOf[member]);
  if (more && value === 0) throw usageError(`Expected ${optionOf[member]} to be more than 0, got "${text}"`);
  return { [member]: value };
}

function positive(retries: number): number {
  if (Number.isInteger(retries) && retries > 0) return retries;
  throw usageError(`Expected --health-retries to be a positive number, got ${retries}`);
}

/**
 * A command as podman takes it: a JSON list of words, or a line for the container's shell.
 * @throws TreesError `USAGE`
 */
export function readCommand(text: string, option: string): string[] {
  if (!text.trimStart().startsWith('[')) return ['/bin/sh', '-c', text];
  return readWords(text, option);
}

/** A JSON list of words. @throws TreesError `USAGE` */
export function readWords(text: string, option: string): string[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const words: unknown[] = Array.isArray(value) ? value : [];
  const texts = words.filter((word) => typeof word === 'string');
  if (texts.length > 0 && texts.length === words.length) return texts;
  throw usageError(`Expected ${option} to be a JSON list of words, got ${text}`);
}
