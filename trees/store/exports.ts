import { readFileSync } from 'node:fs';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { replaceFile } from './files.js';
import type { StorePaths } from './paths.js';

/*
 * Commands of apps in directories of PATH. Each is a file of one line whose interpreter is trees-launch:
 * `#!…/trees-launch --command=…/apps/<name>/current/commands/<command>`. The plan that it names lies in every generation,
 * so the switch of `current` is the switch of the command, and a file never has to change.
 */

/** One exported command: a record in `apps/<name>/exports.json`. */
export interface ExportedCommand {
  /** Name of the file, and of the plan. */
  readonly command: string;
  /** Absolute. */
  readonly file: string;
  /** What is run; arguments are added to it. */
  readonly exec: readonly string[];
  /** The app declares it: it goes when a new version does not any more. */
  readonly declared: boolean;
  /** A `RunRequest`, as the options of `export-bin` asked for it. */
  readonly request?: unknown;
  readonly userns?: string | undefined;
}

export interface Exports {
  readonly schema: 1;
  readonly commands: readonly ExportedCommand[];
  /** Commands that the app declares and that are not wanted. */
  readonly withheld?: readonly string[] | undefined;
}

const EXPORTS_FILE = 'exports.json';
/** Below a generation: plans of its exported commands. */
export const COMMANDS_DIRECTORY = 'commands';

/** `BINPRM_BUF_SIZE` of linux/binfmts.h, less the line end. */
const MAX_LINE = 255;

const COMMAND_NAME = /^[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}$/;

/** Names that a command can be exported under. */
export function isCommandName(name: string): boolean {
  return COMMAND_NAME.test(name);
}

/** What is exported of an app. @throws TreesError STORE_CORRUPT */
export function readExports(paths: StorePaths, name: string): Exports {
  const file = join(paths.app(name), EXPORTS_FILE);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return { schema: 1, commands: [] };
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (isExports(value)) return value;
  throw new TreesError('STORE_CORRUPT', `cannot read which commands of ${name} are exported: ${file} is damaged`, {
    hint: 'remove that file, and export them again',
    details: { path: file },
  });
}

function isExports(value: unknown): value is Exports {
  if (typeof value !== 'object' || value === null || Reflect.get(value, 'schema') !== 1) return false;
  const commands: unknown = Reflect.get(value, 'commands');
  return (
    Array.isArray(commands) &&
    commands.every(
      (entry: unknown) =>
        typeof entry === 'object' &&
        entry !== null &&
        ['command', 'file'].every((key) => typeof Reflect.get(entry, key) === 'string') &&
        Array.isArray(Reflect.get(entry, 'exec')),
    )
  );
}

/** The caller holds the app's lock. */
export async function writeExports(paths: StorePaths, name: string, exports: Exports): Promise<void> {
  const file = join(paths.app(name), EXPORTS_FILE);
  if (exports.commands.length === 0 && (exports.withheld ?? []).length === 0) await rm(file, { force: true });
  else await replaceFile(file, `${JSON.stringify(exports, null, 2)}\n`);
}

/**
 * The line that makes a file a command.
 * @throws TreesError UNSUPPORTED where the kernel would not take it
 */
export function commandLine(paths: StorePaths, launcher: string, { name, command }: { name: string; command: string }) {
  const plan = join(paths.current(name), COMMANDS_DIRECTORY, command);
  const line = `#!${launcher} --command=${plan}`;
  const refuse = (why: string): TreesError =>
    new TreesError('UNSUPPORTED', `cannot export ${command}: ${why}`, {
      hint: 'a store at a shorter path helps (--root), or trees where its own path is short',
      details: { line },
    });
  if (/\s/.test(launcher) || /[\n\r]/.test(plan)) throw refuse(`there are blanks in the path ${launcher}`);
  const length = Buffer.byteLength(line);
  if (length > MAX_LINE) {
    throw refuse(`its first line would have ${length} bytes, and the kernel reads ${MAX_LINE}: ${line}`);
  }
  return line;
}

/** What is at the place of a command's file: nothing, the command itself, or something else. */
export async function lookAtFile(file: string, suffix: string): Promise<'absent' | 'ours' | 'foreign'> {
  const found = await lstat(file).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  });
  if (found === undefined) return 'absent';
  if (!found.isFile() || found.size > MAX_LINE + 1) return 'foreign';
  const content = readFileSync(file, 'utf8');
  return content.startsWith('#!') && content.endsWith(`${suffix}\n`) ? 'ours' : 'foreign';
}

/** How a file of this command ends, wherever trees-launch lies. */
export function lineSuffix(paths: StorePaths, { name, command }: { name: string; command: string }): string {
  return `/trees-launch --command=${join(paths.current(name), COMMANDS_DIRECTORY, command)}`;
}

/** Makes or replaces a command's file by one rename. */
export async function writeCommandFile(file: string, line: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const temporary = join(dirname(file), `.trees-${process.pid}-${Date.now().toString(36)}`);
  try {
    await using handle = await open(temporary, 'wx', 0o755);
    await handle.writeFile(`${line}\n`);
    // Not by open's mode: that is subject to the caller's umask.
    await handle.chmod(0o755);
    await handle.sync();
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * Deletes the files of an app's exported commands, if they are still what was put there, and forgets about them.
 * @returns the files that were deleted
 */
export async function deleteExports(paths: StorePaths, name: string): Promise<string[]> {
  const deleted: string[] = [];
  for (const { command, file } of readExports(paths, name).commands) {
    if ((await lookAtFile(file, lineSuffix(paths, { name, command }))) !== 'ours') continue;
    await rm(file, { force: true });
    deleted.push(file);
  }
  await rm(join(paths.app(name), EXPORTS_FILE), { force: true });
  return deleted;
}
