import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { usageError } from '../../errors.js';
import { findInstance, requireInstance } from '../../run/instances.js';
import type { LogEntry } from '../../run/logs/entry.js';
import { openLogFiles, type ServiceFiles } from '../../run/logs/files.js';
import { followEntries } from '../../run/logs/follow.js';
import { type LogRange, readEntries } from '../../run/logs/merge.js';
import { inChunks, renderJson, renderText } from '../../run/logs/render.js';
import { parseTime } from '../../run/logs/time.js';
import { isAppName } from '../../store/generations.js';
import { type Args, type CommandResult, type Context, defineCommand } from '../command.js';

const positionals = [{ name: 'instance', describe: 'whose output', required: true, complete: 'instances' }] as const;

const options = {
  follow: { type: 'boolean', alias: 'f', describe: 'go on with what is written from now on, until it ends' },
  service: { type: 'array', value: 'NAME', describe: 'only these services; default all, by time' },
  since: {
    type: 'string',
    value: 'TIME',
    describe: 'from a time on: 2026-01-31T08:00:00Z, or how long ago: 10m, 1h30m',
  },
  until: { type: 'string', value: 'TIME', describe: 'up to a time' },
  tail: { type: 'number', alias: 'n', value: 'LINES', describe: 'only the last so many lines' },
  stream: { type: 'string', choices: ['stdout', 'stderr'], describe: 'only what went to this one' },
  timestamps: { type: 'boolean', alias: 't', describe: 'begin each line with the time it was written' },
  'no-prefix': { type: 'boolean', describe: 'do not label lines with service and stream' },
} as const;

type LogsArgs = Args<typeof options, typeof positionals>;

export const command = defineCommand({
  name: 'logs',
  summary: 'show what an instance has written',
  description:
    'Shows what the services of an instance have written to their standard output and error, ordered by time, rotated ' +
    'files included. With several services each line is labelled [NAME OUT] or [NAME ERR]. Everything goes to standard ' +
    'output. With --json it is one array of {instance, service, stream, time, text, partial}; with --follow as well, one ' +
    'such object a line. A long line is stored in several pieces of 16 KiB: all but its last one are partial.\n\n' +
    'Output is stored of instances that run detached and of services; what one process in the foreground writes goes ' +
    'to the caller only. The files lie below /var/log/trees (for a user, $XDG_STATE_HOME/trees/log), a file a ' +
    'service, in the format of the Kubernetes container runtime interface.',
  positionals,
  options,
  examples: [
    ['logs web', 'everything that is stored'],
    ['logs -f --tail 20 web', 'the last lines, and what follows'],
    ['logs --since 10m --service db --json web', 'for scripts'],
  ],
  async handler(context, args): Promise<CommandResult> {
    const { settings } = context;
    const directory = logDirectory(context, args.instance);
    const range = readRange(args);
    const files = await openLogFiles(directory, args.service);
    requireServices(files, args, args.follow === true);
    const entries = args.follow === true ? follow(context, directory, files, args) : stored(files, range);
    const labels = args['no-prefix'] !== true && (files.length > 1 || files[0]?.service !== 'main');
    const texts = settings.json
      ? renderJson(entries, { instance: args.instance, lines: args.follow === true })
      : renderText(entries, { labels, timestamps: args.timestamps === true });
    return { json: undefined, text: '', stream: args.follow === true ? texts : inChunks(texts) };
  },
});

/** What an instance that is gone has written stays readable until its files are deleted. */
function logDirectory({ settings }: Context, name: string): string {
  const directory = join(settings.logDir, name);
  if (!isAppName(name) || !existsSync(directory)) requireInstance(settings, name, 'show the output of');
  return directory;
}

function readRange(args: LogsArgs): LogRange {
  const { tail, since, until, stream } = args;
  if (tail !== undefined && !(Number.isInteger(tail) && tail >= 0)) {
    throw usageError(`Expected --tail to be a number of lines, got ${tail}`);
  }
  const now = Date.now();
  return {
    tail,
    since: since === undefined ? undefined : parseTime(since, '--since', now),
    until: until === undefined ? undefined : parseTime(until, '--until', now),
    stream: stream === 'stdout' || stream === 'stderr' ? stream : undefined,
  };
}

/** One that is followed may be yet to start. */
function requireServices(files: readonly ServiceFiles[], args: LogsArgs, follow: boolean): void {
  const missing = (args.service ?? []).find((name) => !files.some(({ service }) => service === name));
  if (missing === undefined || follow) return;
  throw usageError(
    `Expected --service to name a service that has written something, got "${missing}"`,
    `see what there is: trees service ls ${args.instance}`,
  );
}

async function* stored(files: readonly ServiceFiles[], range: LogRange): AsyncGenerator<LogEntry> {
  try {
    yield* readEntries(files, range);
  } finally {
    for (const { current } of files) await current?.handle.close();
  }
}

async function* follow(
  { settings, signal }: Context,
  directory: string,
  files: readonly ServiceFiles[],
  args: LogsArgs,
): AsyncGenerator<LogEntry> {
  const range = readRange(args);
  yield* readEntries(files, range);
  const fresh = followEntries(directory, files, {
    services: args.service,
    signal,
    isRunning: () => findInstance(settings, args.instance)?.alive ?? false,
  });
  for await (const entry of fresh) {
    if (range.until !== undefined && entry.time > range.until) return;
    if (range.stream === undefined || range.stream === entry.stream) yield entry;
  }
}
