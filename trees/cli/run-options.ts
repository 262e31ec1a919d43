import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isErrno, usageError } from '../errors.js';
import { type Capability, parseCapability } from '../run/capabilities.js';
import type { RlimitSpec } from '../run/container.js';
import { parseMount, parseTmpfs, parseVolume } from '../run/mount-options.js';
import type { RunRequest } from '../run/resolve.js';
import { rlimitNames } from '../run/rlimits.js';
import type { Args, Context, OptionSpec } from './command.js';

/** Options of `run`: podman's names and meanings. */
export const runOptions = {
  name: { type: 'string', value: 'NAME', describe: 'name of the instance, which owns the data; default: the app’s' },
  env: { type: 'array', alias: 'e', value: 'NAME[=VALUE]', describe: 'set a variable; without a value the caller’s' },
  'env-file': { type: 'array', value: 'FILE', complete: 'file', describe: 'read variables from a file, one a line' },
  workdir: { type: 'string', alias: 'w', value: 'DIR', describe: 'working directory in the container' },
  user: { type: 'string', alias: 'u', value: 'USER[:GROUP]', describe: 'user to run as, by name or number' },
  hostname: { type: 'string', value: 'NAME', describe: 'host name in the container; default: the instance’s name' },
  net: {
    type: 'string',
    alias: 'network',
    choices: ['none', 'host'],
    describe: 'network; default host for apps that declare ports, else none',
  },
  'read-only': { type: 'boolean', describe: 'nothing but volumes, /tmp, /run and /var/tmp (in memory) is writable' },
  ephemeral: { type: 'boolean', describe: 'keep what is written in memory and forget it at the end' },
  rm: { type: 'boolean', describe: 'same as --ephemeral; volumes are kept' },
  volume: {
    type: 'array',
    alias: 'v',
    value: 'SOURCE:TARGET[:ro]',
    describe: 'mount a path of the host, or a named volume of the instance',
  },
  mount: { type: 'array', value: 'FIELDS', describe: 'the same spelled out: type=bind,source=…,target=…[,ro]' },
  tmpfs: { type: 'array', value: 'DIR[:size=…]', describe: 'mount a file system in memory' },
  'cap-add': { type: 'array', value: 'CAP', describe: 'add a capability (ALL: every one)' },
  'cap-drop': { type: 'array', value: 'CAP', describe: 'drop a capability (ALL: every one)' },
  ulimit: { type: 'array', value: 'NAME=SOFT[:HARD]', describe: 'resource limit, e.g. nofile=1024:4096' },
  userns: {
    type: 'string',
    choices: ['auto', 'host'],
    describe: 'auto (default): an own range of user ids; host: root inside is root outside',
  },
  'stop-timeout': {
    type: 'number',
    value: 'SECONDS',
    describe: 'what other processes get to end in when the main one has; default 10',
  },
  tty: {
    type: 'boolean',
    alias: 't',
    describe: 'a terminal in the container; default: when standard input and output are one',
  },
  interactive: {
    type: 'boolean',
    alias: 'i',
    describe: 'accepted for podman’s sake: standard input is always connected',
  },
  'no-init': { type: 'boolean', describe: 'run the command as process 1 itself' },
} as const satisfies Record<string, OptionSpec>;

export interface RunOptions {
  readonly name: string | undefined;
  readonly userns: 'auto' | 'host';
  readonly request: RunRequest;
  readonly tty: boolean;
  /** Nothing was asked for but the app itself. */
  readonly plain: boolean;
}

type RunArgs = Args<typeof runOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readRunOptions(context: Pick<Context, 'env' | 'cwd'>, args: RunArgs): RunOptions {
  const { cwd } = context;
  const request: RunRequest = {
    command: args.rest,
    env: environment(context, args),
    user: args.user,
    workdir: args.workdir,
    hostname: args.hostname,
    net: args.net === 'host' || args.net === 'none' ? args.net : undefined,
    readOnly: args['read-only'] === true,
    ephemeral: args.ephemeral === true || args.rm === true,
    mounts: [
      ...(args.volume ?? []).map((text) => parseVolume(text, cwd)),
      ...(args.mount ?? []).map((text) => parseMount(text, cwd)),
      ...(args.tmpfs ?? []).map(parseTmpfs),
    ],
    capAdd: capabilities(args['cap-add'], '--cap-add'),
    capDrop: capabilities(args['cap-drop'], '--cap-drop'),
    rlimits: (args.ulimit ?? []).map(parseUlimit),
    stopTimeout: args['stop-timeout'],
    noInit: args['no-init'] === true,
  };
  const { rest, ...given } = args;
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  const changing = Object.keys(runOptions).filter((name) => name !== 'tty' && name !== 'interactive');
  return {
    name: args.name,
    userns: args.userns === 'host' ? 'host' : 'auto',
    request,
    tty: args.tty ?? terminal,
    plain: rest.length === 0 && !terminal && changing.every((name) => !(name in given)),
  };
}

function environment({ env, cwd }: Pick<Context, 'env' | 'cwd'>, args: RunArgs): Record<string, string> {
  const result: Record<string, string> = {};
  const terminal = env['TERM'];
  if (terminal !== undefined && process.stdin.isTTY) result['TERM'] = terminal;
  const assign = (line: string, where: string): void => {
    const equals = line.indexOf('=');
    const name = equals < 0 ? line : line.slice(0, equals);
    if (name === '') throw usageError(`Expected ${where} to be NAME=VALUE, got "${line}"`);
    const value = equals < 0 ? env[name] : line.slice(equals + 1);
    if (value !== undefined) result[name] = value;
  };
  for (const file of args['env-file'] ?? []) {
    for (const line of readEnvFile(resolve(cwd, file))) assign(line, `a line of ${file}`);
  }
  for (const text of args.env ?? []) assign(text, '--env');
  return result;
}

function readEnvFile(path: string): string[] {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EACCES', 'EISDIR')) throw error;
    throw usageError(`cannot read --env-file ${path}: ${error.message}`);
  }
  return content.split('\n').filter((line) => line.trim() !== '' && !line.trimStart().startsWith('#'));
}

function capabilities(names: readonly string[] | undefined, option: string): (Capability | 'ALL')[] {
  return (names ?? [])
    .flatMap((list) => list.split(','))
    .map((name) => {
      const capability = parseCapability(name);
      if (capability === undefined) throw usageError(`Expected ${option} to name a capability, got "${name}"`);
      return capability;
    });
}

function parseUlimit(text: string): RlimitSpec {
  const [, name, soft, hard = soft] = /^([a-z]+)=(-1|\d+|unlimited)(?::(-1|\d+|unlimited))?$/.exec(text) ?? [];
  if (name === undefined || soft === undefined || hard === undefined || !rlimitNames.some((known) => known === name)) {
    throw usageError(
      `Expected --ulimit to be NAME=SOFT[:HARD], got "${text}"`,
      `names are ${rlimitNames.join(', ')}; -1 is unlimited`,
    );
  }
  const limit = { name, soft: limitValue(soft), hard: limitValue(hard) };
  if (limit.soft > limit.hard) throw usageError(`Expected the soft limit to be at most the hard one, got "${text}"`);
  return limit;
}

function limitValue(text: string): number {
  return text === '-1' || text === 'unlimited' ? Infinity : Number(text);
}
