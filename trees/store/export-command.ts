import { accessSync, constants } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { compileCommands } from '../run/commands.js';
import { launcherPath } from '../run/exec-launcher.js';
import { commandLine, type ExportedCommand, lineSuffix, lookAtFile, readExports, writeExports } from './exports.js';
import { findGeneration, requireInstalled } from './generations.js';
import { openInstalled } from './open-installed.js';
import { storePaths } from './paths.js';
import type { StoreOptions } from './store.js';
import { placeCommand } from './sync-exports.js';

interface CommandOptions extends StoreOptions {
  /** Of the app. */
  readonly name: string;
  readonly command: string;
  readonly dryRun: boolean;
}

export interface ExportOptions extends CommandOptions {
  readonly directory: string;
  readonly exec: readonly string[];
  /** A `RunRequest`. */
  readonly request: unknown;
  readonly userns: string;
  readonly force: boolean;
}

export interface ExportResult {
  readonly file: string;
  readonly exec: readonly string[];
  /** A program of the same name that is hidden by it. */
  readonly shadows: string | undefined;
}

/**
 * Exports a command of an app: gives every generation a plan for it, so that a rollback does not lose it, and then makes its
 * file.
 * @throws TreesError APP_NOT_INSTALLED, PATH_CONFLICT, UNSUPPORTED and as `compileCommands`
 */
export async function exportCommand(options: ExportOptions): Promise<ExportResult> {
  const { name, command, directory, exec, request, userns, force } = options;
  const paths = storePaths(options.root);
  requireInstalled(paths, name);
  const file = join(directory, command);
  const result: ExportResult = { file, exec, shadows: findOther(file, command) };
  commandLine(paths, launcherPath(), { name, command });
  await refuseForeign(options, file);
  if (options.dryRun) return result;
  using store = await openInstalled(options);
  using _app = await store.lockApp(name);
  const { current, generations } = requireInstalled(paths, name);
  const entry: ExportedCommand = { command, file, exec, declared: false, request, userns };
  for (const number of generations) {
    const generation = findGeneration(paths, name, number);
    if (generation === undefined) continue;
    try {
      await compileCommands(generation, [entry], options);
    } catch (error) {
      if (number === current.number) throw error;
      store.reporter.warn(`generation ${number} of ${name} cannot have the command: ${String(error)}`);
    }
  }
  const exports = readExports(paths, name);
  const before = exports.commands.find((other) => other.command === command);
  await writeExports(paths, name, {
    ...exports,
    commands: [...exports.commands.filter((other) => other.command !== command), entry],
    withheld: exports.withheld?.filter((other) => other !== command),
  });
  await placeCommand(store, name, entry, { force });
  if (before !== undefined && before.file !== file) await removeOwn(options, before.file);
  return result;
}

/**
 * Takes an exported command away.
 * @throws TreesError APP_NOT_INSTALLED, COMMAND_NOT_FOUND
 */
export async function unexportCommand(options: CommandOptions): Promise<{ file: string }> {
  const { name, command } = options;
  const paths = storePaths(options.root);
  requireInstalled(paths, name);
  const find = (): ExportedCommand => {
    const entry = readExports(paths, name).commands.find((other) => other.command === command);
    if (entry !== undefined) return entry;
    throw new TreesError('COMMAND_NOT_FOUND', `cannot take ${command} away: ${name} exports no command of that name`, {
      hint: `trees info ${name} shows those it exports`,
      details: { name, command },
    });
  };
  const { file } = find();
  if (options.dryRun) return { file };
  using store = await openInstalled(options);
  using _app = await store.lockApp(name);
  const entry = find();
  await removeOwn(options, entry.file);
  const exports = readExports(paths, name);
  await writeExports(paths, name, {
    ...exports,
    commands: exports.commands.filter((other) => other.command !== command),
    withheld: entry.declared ? [...(exports.withheld ?? []), command] : exports.withheld,
  });
  return { file: entry.file };
}

async function refuseForeign({ root, name, command, force }: ExportOptions, file: string): Promise<void> {
  const suffix = lineSuffix(storePaths(root), { name, command });
  if (force || (await lookAtFile(file, suffix)) !== 'foreign') return;
  throw new TreesError('PATH_CONFLICT', `cannot export ${command} of ${name}: ${file} is something else`, {
    hint: 'choose another name (--as) or directory (--dir), or replace it with --force',
    details: { path: file },
  });
}

async function removeOwn({ root, name, command }: CommandOptions, file: string): Promise<void> {
  const suffix = lineSuffix(storePaths(root), { name, command });
  if ((await lookAtFile(file, suffix)) === 'ours') await rm(file, { force: true });
}

/** A program that the shell would have found by that name. */
function findOther(file: string, command: string): string | undefined {
  return ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
    .map((directory) => join(directory, command))
    .filter((candidate) => candidate !== file)
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return false;
    throw error;
  }
}
