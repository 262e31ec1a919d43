import { usageError } from '../../errors.js';
import type { LogRequest } from '../../run/log.js';
import type { RunRequest } from '../../run/resolve.js';
import type { Args, OptionSpec } from '../command.js';

/** Where output goes besides the terminal. */
export const logOptions = {
  'log-driver': {
    type: 'string',
    choices: ['file', 'k8s-file', 'journald', 'syslog', 'none'],
    describe: 'where output is kept: file (default, k8s-file is the same), none; journald and syslog get a copy',
  },
  'log-opt': {
    type: 'array',
    value: 'NAME=VALUE',
    describe: 'max-size=10m a file, max-file=5, compress=gzip|none, rate=BYTES a second, burst=BYTES',
  },
  'log-mode': {
    type: 'string',
    choices: ['non-blocking', 'blocking'],
    describe: 'whether a slow reader costs lines on the console (default), or holds up the services',
  },
  'no-prefix': { type: 'boolean', describe: 'do not label the lines of services on the console' },
} as const satisfies Record<string, OptionSpec>;

type LogsArgs = Args<typeof logOptions, readonly []>;

const UNIT = { '': 1, b: 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 } as const;

/** @throws TreesError `USAGE` */
export function readLogs(args: LogsArgs): Pick<RunRequest, 'log'> {
  const driver = args['log-driver'];
  const request: LogRequest = {
    ...(driver === 'none' && { store: false }),
    ...((driver === 'journald' || driver === 'syslog') && { forward: driver }),
    ...Object.assign({}, ...(args['log-opt'] ?? []).map(readOption)),
    ...((args['log-mode'] === 'blocking' || args['log-mode'] === 'non-blocking') && { mode: args['log-mode'] }),
    ...(args['no-prefix'] === true && { prefix: false }),
  };
  return Object.keys(request).length === 0 ? {} : { log: request };
}

function readOption(text: string): LogRequest {
  const [, name = '', value = ''] = /^([a-z-]+)=(.+)$/.exec(text) ?? [];
  switch (name) {
    case 'max-size':
      return { maxSize: value === '-1' ? 0 : bytes(value, name) };
    case 'max-file':
      if (/^[1-9]\d{0,3}$/.test(value)) return { maxFiles: Number(value) };
      throw usageError(`Expected --log-opt max-file to be a number of files from 1 to 9999, got "${value}"`);
    case 'compress':
      if (value === 'gzip' || value === 'true') return { compress: true };
      if (value === 'none' || value === 'false') return { compress: false };
      throw usageError(`Expected --log-opt compress to be gzip or none, got "${value}"`);
    case 'rate':
      return { rate: bytes(value, name) };
    case 'burst':
      return { burst: bytes(value, name) };
    default:
      throw usageError(
        `Expected --log-opt to be NAME=VALUE, got "${text}"`,
        'names are max-size, max-file, compress, rate, burst',
      );
  }
}

function bytes(text: string, name: string): number {
  const [, number, unit = ''] = /^(\d{1,12})([bkmg]?)$/i.exec(text) ?? [];
  if (number === undefined)
    throw usageError(`Expected --log-opt ${name} to be bytes such as 512k or 10m, got "${text}"`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the expression allows only the table's keys
  return Number(number) * UNIT[unit.toLowerCase() as keyof typeof UNIT];
}
