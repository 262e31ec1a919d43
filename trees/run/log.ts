import { TreesError } from '../errors.js';
import { existsSync } from '../inputs.js';
import type { PlanLog } from './plan-log.js';
import type { RunSpec } from './spec.js';

/** Where output goes. Every member wins over the app's `run.log`, and that over `defaultLog`. */
export interface LogOptions {
  /** Whether output is kept in files; default true. */
  readonly store?: boolean | undefined;
  /** Bytes after which a file is rotated; 0: never. */
  readonly maxSize?: number | undefined;
  /** Files of each service, the one that is being written included. */
  readonly maxFiles?: number | undefined;
  /** Compress rotated files (gzip). */
  readonly compress?: boolean | undefined;
  /** Log of the machine that gets every line, too. */
  readonly forward?: 'journald' | 'syslog' | undefined;
  /** Bytes a second that a service may log; 0: no limit. */
  readonly rate?: number | undefined;
  /** Bytes that it may log at once; default: those of a second. */
  readonly burst?: number | undefined;
  /** Whether a reader of the console who is slow costs lines there, or holds up the services. */
  readonly mode?: 'non-blocking' | 'blocking' | undefined;
  /** Label each line on the console with the service and the stream; default true. */
  readonly prefix?: boolean | undefined;
}

/** What one invocation asks for. */
export type LogRequest = LogOptions;

/** Where output goes, resolved: part of `ContainerSpec`. */
export interface LogSpec extends LogOptions {
  /** Directory of the instance's log files. Absolute; made when it is missing. */
  readonly directory: string;
  readonly instance: string;
}

export const defaultLog = { maxSize: 10 << 20, maxFiles: 5 } as const;

/** Pure. */
export function resolveLog(
  spec: RunSpec,
  request: LogRequest | undefined,
  place: Pick<LogSpec, 'directory' | 'instance'>,
): LogSpec {
  return { ...spec.log, ...request, ...place };
}

const COMPRESSORS = ['/usr/bin/gzip', '/bin/gzip'];

/** @throws TreesError `UNSUPPORTED` when files are to be compressed and there is no gzip */
export function planLog(log: LogSpec): PlanLog {
  const files = log.maxFiles ?? defaultLog.maxFiles;
  return {
    directory: log.store === false ? '' : log.directory,
    instance: log.instance,
    maxSize: BigInt(log.maxSize ?? defaultLog.maxSize),
    maxFiles: Math.max(0, files - 1),
    rate: BigInt(log.rate ?? 0),
    burst: BigInt(log.burst ?? 0),
    flags: [
      ...((log.prefix ?? true) ? (['prefix'] as const) : []),
      ...(log.mode === 'blocking' ? (['blocking'] as const) : []),
      ...(log.forward === undefined ? [] : ([log.forward] as const)),
    ],
    compress: log.compress === true ? [findCompressor(), '-f', '--'] : [],
  };
}

function findCompressor(): string {
  const found = COMPRESSORS.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new TreesError('UNSUPPORTED', `cannot compress logs: none of ${COMPRESSORS.join(', ')} exists`, {
    hint: 'install gzip, or leave compression out',
    status: 125,
  });
}
