import { resolve } from 'node:path';
import { isErrno, usageError } from '../../errors.js';
import { readTextFile } from '../../inputs.js';
import type { RunRequest } from '../../run/resolve.js';
import type { Args, Context, OptionSpec } from '../command.js';
import { readWords } from './health.js';

/** What the process sees of itself: environment, user, directory, names. */
export const processOptions = {
  env: { type: 'array', alias: 'e', value: 'NAME[=VALUE]', describe: 'set a variable; without a value the caller’s' },
  'env-host': { type: 'boolean', describe: 'pass on the caller’s variables, too; those of the app win' },
  'env-file': { type: 'array', value: 'FILE', complete: 'file', describe: 'read variables from a file, one a line' },
  workdir: { type: 'string', alias: 'w', value: 'DIR', describe: 'working directory in the container' },
  user: { type: 'string', alias: 'u', value: 'USER[:GROUP]', describe: 'user to run as, by name or number' },
  entrypoint: {
    type: 'string',
    value: 'PROGRAM',
    describe: 'run this program, or JSON list of words, with what follows -- as its arguments',
  },
  hostname: { type: 'string', value: 'NAME', describe: 'host name in the container; default: the instance’s name' },
  net: {
    type: 'string',
    alias: 'network',
    choices: ['none', 'host'],
    describe: 'network; default host for apps that declare ports, else none',
  },
} as const satisfies Record<string, OptionSpec>;

type ProcessArgs = Args<typeof processOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readProcess(
  context: Pick<Context, 'env' | 'cwd'>,
  args: ProcessArgs,
): Pick<RunRequest, 'command' | 'env' | 'hostEnv' | 'user' | 'workdir' | 'hostname' | 'net'> {
  return {
    command: args.entrypoint === undefined ? args.rest : [...entrypoint(args.entrypoint), ...args.rest],
    env: readVariables(context, args),
    hostEnv: args['env-host'] === true ? Object.fromEntries(definedEntries(context.env)) : undefined,
    user: args.user,
    workdir: args.workdir,
    hostname: args.hostname,
    net: args.net === 'host' || args.net === 'none' ? args.net : undefined,
  };
}

function entrypoint(text: string): string[] {
  return text.startsWith('[') ? readWords(text, '--entrypoint') : [text];
}

/**
 * What `--env` and `--env-file` set, and the kind of terminal.
 * @throws TreesError `USAGE`
 */
export function readVariables(
  { env, cwd }: Pick<Context, 'env' | 'cwd'>,
  args: Pick<ProcessArgs, 'env' | 'env-file'>,
): Record<string, string> {
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

function definedEntries(env: Context['env']): [string, string][] {
  return Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as [string, string]],
  );
}

function readEnvFile(path: string): string[] {
  let content: string;
  try {
    content = readTextFile(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EACCES', 'EISDIR')) throw error;
    throw usageError(`cannot read --env-file ${path}: ${error.message}`);
  }
  return content.split('\n').filter((line) => line.trim() !== '' && !line.trimStart().startsWith('#'));
}
