import { readdirSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { isSettled } from '../../input-kinds.js';
import {
  type Environment,
  noteInput,
  type Recording,
  recorded,
  recordedEnvironment,
  startRecording,
} from '../../inputs.js';
import { nativePath, packageRoot } from '../../native-loader.js';
import { bootIdFile } from '../instance-state.js';
import type { KeptExec, KeptRun } from './entry.js';
import { writeEntry } from './files.js';
import { fileNameOf, keptDirectory, ownLine, seemingPrefix } from './line.js';

interface GivenLine {
  /** After `trees`. */
  readonly words: readonly string[];
  /** What `--root` was given as. */
  readonly root: unknown;
}

let given: GivenLine | undefined;

/**
 * From here on everything is noted that a launch rests on, so that it can be kept.
 * @returns the environment to read variables from
 */
export function recordLaunch(line: GivenLine, environment: Environment): Environment {
  const files = programFiles();
  if (files === undefined) return environment;
  given = line;
  startRecording();
  for (const file of files) noteInput('file', file);
  // Whatever the kernel can do it can until it is another one.
  noteInput('text', bootIdFile);
  const env = recordedEnvironment(environment);
  // Which build of the native parts it is.
  void env['TREES_NATIVE'];
  return env;
}

/** What this program consists of; undefined if it runs from its sources, which are too many to look at. */
function programFiles(): string[] | undefined {
  const dist = join(packageRoot(), 'dist');
  if (!`${import.meta.dirname}${sep}`.startsWith(`${dist}${sep}`)) return undefined;
  const system = nativePath('system');
  const native = ['trees-launch', 'trees-init'].map((name) => join(dirname(system), name));
  const command = join(dist, 'cli');
  const code = readdirSync(command).filter((name) => name.endsWith('.js'));
  return [dist, ...code.map((name) => join(command, name)), system, ...native];
}

export interface LaunchToKeep {
  /** App whose launch it is. */
  readonly app: string;
  readonly start: KeptRun | KeptExec;
  /** Empty where there is none. */
  readonly plan: Uint8Array;
}

/**
 * Keeps what this line came to, for the next one that is the same.
 * @returns why it cannot be kept; undefined: it is, or nothing was recorded
 */
export function keepLaunch(
  { app, start, plan }: LaunchToKeep,
  { env, cwd }: { readonly env: Environment; readonly cwd: string },
): string | undefined {
  if (given === undefined) return undefined;
  const { words, root } = given;
  const prefix = seemingPrefix(words, env);
  if (root !== undefined && root !== prefix) return '--root is not where it seems to be';
  const directory = keptDirectory(prefix, { cwd, env, uid: process.geteuid?.() ?? 0 });
  const recording = recorded();
  if (directory === undefined || recording === undefined) return 'there is no place for it';
  const problem = recording.unknowable ?? unsettled(recording);
  if (problem !== undefined) return problem;
  const { inputs, held, variables } = recording;
  const line = ownLine(words);
  const written = writeEntry(directory, fileNameOf(line), {
    launch: { line, app, variables, inputs, held, start },
    plan,
  });
  return written ? undefined : `it cannot be written below ${directory}`;
}

/** What changed since this process began may have been read before or after that. */
function unsettled({ inputs }: Recording): string | undefined {
  const began = Math.floor(performance.timeOrigin);
  const [, path] = inputs.find(([kind, , observed]) => kind === 'file' && !isSettled(observed, began)) ?? [];
  return path === undefined ? undefined : `${path} has just changed`;
}
