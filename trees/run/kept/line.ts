import { isAbsolute, join, resolve } from 'node:path';
import { digest } from '../../input-kinds.js';
import { isTerminal } from '../../system/calls.js';

/** A line as it was given, and by whom and where: what a launch is kept under. */
export interface Line {
  /** After `trees`. */
  readonly words: readonly string[];
  readonly cwd: string;
  /** Real and effective ids, and groups. */
  readonly ids: string;
  /** Which of standard input, output and error are terminals: `110`. */
  readonly terminals: string;
  /** Versions differ in what they make of a line. */
  readonly node: string;
}

/** The line that this process runs. @throws system error if the working directory is gone */
export function ownLine(words: readonly string[]): Line {
  const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()];
  return {
    words,
    cwd: process.cwd(),
    ids: [...ids, ...(process.getgroups?.() ?? [])].join(' '),
    terminals: [0, 1, 2].map((fd) => (isTerminal(fd) ? '1' : '0')).join(''),
    node: process.version,
  };
}

export function isSameLine(a: Line, b: Line): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Name of the file that a line's launch is kept in. Two lines may share one: the line is noted in it. */
export function fileNameOf(line: Line): string {
  return digest(JSON.stringify(line));
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Not the name of an instance. */
export const KEPT_DIRECTORY = '.kept';

/**
 * Where launches are kept. It has to be found before the settings are read, so it follows from the prefix that was given with
 * the line, else from who the user is.
 * @param prefix what `--root` or `TREES_ROOT` says
 * @returns undefined if the user has no place of that kind
 */
export function keptDirectory(
  prefix: string | undefined,
  { cwd, env, uid }: { readonly cwd: string; readonly env: Environment; readonly uid: number },
): string | undefined {
  if (prefix) return join(resolve(cwd, prefix), 'run/trees', KEPT_DIRECTORY);
  if (uid === 0) return join('/run/trees', KEPT_DIRECTORY);
  const { XDG_RUNTIME_DIR: runtime, XDG_DATA_HOME: data, HOME: home } = env;
  if (runtime && isAbsolute(runtime)) return join(runtime, 'trees', KEPT_DIRECTORY);
  if (data && isAbsolute(data)) return join(data, 'trees/run', KEPT_DIRECTORY);
  return home ? join(home, '.local/share/trees/run', KEPT_DIRECTORY) : undefined;
}

/**
 * The prefix that a line seems to give. Options are not parsed for it: whoever keeps a launch compares this with what they
 * really were.
 */
export function seemingPrefix(words: readonly string[], env: Environment): string | undefined {
  const end = words.indexOf('--');
  const before = end < 0 ? words : words.slice(0, end);
  let prefix = env['TREES_ROOT'];
  for (const [index, word] of before.entries()) {
    if (word === '--root') prefix = before[index + 1];
    else if (word.startsWith('--root=')) prefix = word.slice('--root='.length);
  }
  return prefix;
}
