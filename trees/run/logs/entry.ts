/**
 * One line of a service's stored log, in the format of the Kubernetes container runtime interface:
 * `2016-10-06T00:17:09.669794202Z stdout F text`, with `P` where the text goes on in the next line of the same stream,
 * or ended without a newline. Written by `trees/launcher/log-file.c`.
 */
export interface LogEntry {
  readonly service: string;
  readonly stream: 'stdout' | 'stderr';
  /** As stored: RFC 3339 in UTC with nanoseconds. Sorts as text. */
  readonly time: string;
  /** Without the newline. */
  readonly text: string;
  /** The text goes on in the next entry of this stream, or ended without a newline. */
  readonly partial: boolean;
}

const LINE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) ([^]*)$/;

/** @returns undefined for a line that is not of that format, such as one that a power failure has cut off */
export function parseEntry(service: string, line: string): LogEntry | undefined {
  const [, time, stream, tag, text] = LINE.exec(line) ?? [];
  if (time === undefined || text === undefined) return undefined;
  return { service, stream: stream === 'stderr' ? 'stderr' : 'stdout', time, text, partial: tag === 'P' };
}
