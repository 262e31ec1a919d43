import { type Field, flags, record, string, u32, u64, words } from './plan-record.js';

/** The launch plan's section LOG; `trees/launcher/plan-log.h`. */

export const logFlag = { prefix: 1, blocking: 2, journald: 4, syslog: 8 } as const;

export interface PlanLog {
  /** Bytes a file; 0: no limit. */
  readonly maxSize: bigint;
  /** Bytes a second and service; 0: no limit. */
  readonly rate: bigint;
  /** Bytes; 0: as many as `rate` gives in a second. */
  readonly burst: bigint;
  /** Absolute; empty: nothing is stored. */
  readonly directory: string;
  readonly instance: string;
  /** Rotated files that are kept of each service. */
  readonly maxFiles: number;
  readonly flags: readonly (keyof typeof logFlag)[];
  /** Command that compresses the file named by its last word; empty: none. */
  readonly compress: readonly string[];
}

export const logRecord: Field<PlanLog> = record<PlanLog>({
  maxSize: u64,
  rate: u64,
  burst: u64,
  directory: string,
  instance: string,
  maxFiles: u32,
  flags: flags(logFlag),
  compress: words,
});
