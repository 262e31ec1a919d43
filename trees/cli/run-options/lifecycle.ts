import { usageError } from '../../errors.js';
import type { RunRequest } from '../../run/resolve.js';
import { parseSignal } from '../../run/signals.js';
import type { RestartSpec } from '../../run/supervision.js';
import type { Args, OptionSpec } from '../command.js';
import { healthOptions, readHealth } from './health.js';

/** How the container starts, what it is called, and how it ends. */
export const lifecycleOptions = {
  name: { type: 'string', value: 'NAME', describe: 'name of the instance, which owns the data; default: the app’s' },
  replace: { type: 'boolean', describe: 'stop the instance of that name first, if one runs' },
  detach: { type: 'boolean', alias: 'd', describe: 'leave it running and print its name' },
  tty: {
    type: 'boolean',
    alias: 't',
    describe: 'a terminal in the container; default: when standard input and output are one',
  },
  interactive: {
    type: 'boolean',
    alias: 'i',
    describe: 'with --detach: keep standard input open for attach; otherwise it always is the caller’s',
  },
  rm: { type: 'boolean', describe: 'leave nothing: --ephemeral, and no state when it has ended; volumes are kept' },
  restart: {
    type: 'string',
    value: 'POLICY',
    describe: 'start it again when it ends: no (default), on-failure[:MAX], always, unless-stopped',
  },
  'stop-signal': { type: 'string', value: 'SIGNAL', describe: 'what stop sends first; default TERM' },
  'stop-timeout': {
    type: 'number',
    value: 'SECONDS',
    describe: 'from there to KILL, and for the processes that are left when the main one has ended; default 10',
  },
  ...healthOptions,
  label: { type: 'array', alias: 'l', value: 'NAME=VALUE', describe: 'note something, for ps --filter and inspect' },
  pidfile: { type: 'string', value: 'FILE', complete: 'file', describe: 'write the number of process 1 to a file' },
  cidfile: { type: 'string', value: 'FILE', complete: 'file', describe: 'write the instance’s name to a new file' },
  sdnotify: {
    type: 'string',
    choices: ['container', 'conmon', 'ignore'],
    describe: 'who tells the service manager that it is ready: the command (default), the launcher, nobody',
  },
  'status-fd': {
    type: 'number',
    value: 'N',
    describe: 'write {"child-pid":…} and at the end {"exit-code":…} to a descriptor, a line each',
  },
  'explain-time': { type: 'boolean', describe: 'say on standard error what each step of the start took' },
  'preserve-fds': { type: 'number', value: 'N', describe: 'give the command the descriptors 3 to 2+N' },
  'no-init': { type: 'boolean', describe: 'run the command as process 1 itself' },
} as const satisfies Record<string, OptionSpec>;

export type LifecycleArgs = Args<typeof lifecycleOptions, readonly []>;

/** How this invocation starts it: nothing of which is kept. */
export interface StartMode {
  readonly detach: boolean;
  readonly replace: boolean;
  readonly tty: boolean;
  readonly pidFile: string | undefined;
  readonly nameFile: string | undefined;
  readonly sdnotify: string | undefined;
  readonly preserveFds: number;
  readonly statusFd: number | undefined;
  readonly explainTime: boolean;
}

/** @throws TreesError `USAGE` */
export function readLifecycle(args: LifecycleArgs): Pick<RunRequest, 'stopTimeout' | 'noInit' | 'supervision'> {
  const restart = args.restart === undefined ? undefined : parseRestart(args.restart);
  if (args.rm === true && restart !== undefined && restart.policy !== 'no') {
    throw usageError(`Expected --rm or --restart ${restart.policy}, got both`, 'what leaves nothing cannot come back');
  }
  const stopSignal = args['stop-signal'];
  return {
    stopTimeout: args['stop-timeout'],
    noInit: args['no-init'] === true,
    supervision: {
      restart,
      stopSignal: stopSignal === undefined ? undefined : parseSignal(stopSignal, '--stop-signal'),
      tty: args.detach === true && args.tty === true ? true : undefined,
      stdin: args.detach === true && args.interactive === true ? true : undefined,
      remove: args.rm === true ? true : undefined,
      health: readHealth(args),
    },
  };
}

/** @throws TreesError `USAGE` */
export function readStartMode(args: LifecycleArgs): StartMode {
  const detach = args.detach === true;
  const preserveFds = args['preserve-fds'] ?? 0;
  if (!Number.isInteger(preserveFds) || preserveFds < 0 || preserveFds > MAX_PRESERVED) {
    throw usageError(`Expected --preserve-fds to be a number from 0 to ${MAX_PRESERVED}, got ${preserveFds}`);
  }
  const statusFd = args['status-fd'];
  const lowest = FIRST_DESCRIPTOR + preserveFds;
  if (statusFd !== undefined && (!Number.isInteger(statusFd) || statusFd < lowest)) {
    throw usageError(`Expected --status-fd to be a descriptor from ${lowest} on, got ${statusFd}`);
  }
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  return {
    detach,
    replace: args.replace === true,
    tty: args.tty ?? (!detach && terminal),
    pidFile: args.pidfile,
    nameFile: args.cidfile,
    sdnotify: args.sdnotify,
    preserveFds,
    statusFd,
    explainTime: args['explain-time'] === true,
  };
}

const MAX_PRESERVED = 1024;
/** The first that is no standard stream. */
const FIRST_DESCRIPTOR = 3;

/** @throws TreesError `USAGE` */
export function readLabels(args: LifecycleArgs): Record<string, string> {
  return Object.fromEntries(
    (args.label ?? []).map((text) => {
      const [name = '', ...value] = text.split('=');
      if (name === '') throw usageError(`Expected --label to be NAME=VALUE, got "${text}"`);
      return [name, value.join('=')];
    }),
  );
}

function parseRestart(text: string): RestartSpec {
  const [, policy, max] = /^(no|never|on-failure|always|unless-stopped)(?::(\d{1,9}))?$/.exec(text) ?? [];
  if (policy === 'on-failure') return { policy, ...(max === undefined ? {} : { max: Number(max) }) };
  if (max === undefined && (policy === 'no' || policy === 'never')) return { policy: 'no' };
  if (max === undefined && (policy === 'always' || policy === 'unless-stopped')) return { policy };
  throw usageError(`Expected --restart to be no, on-failure[:MAX], always or unless-stopped, got "${text}"`);
}
