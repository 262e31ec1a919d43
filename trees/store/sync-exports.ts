import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf, TreesError } from '../errors.js';
import { compileCommands, declaredCommands } from '../run/commands.js';
import { launcherPath } from '../run/exec-launcher.js';
import { readRunSpec } from '../run/read-run-spec.js';
import {
  commandLine,
  type ExportedCommand,
  type Exports,
  lineSuffix,
  lookAtFile,
  readExports,
  writeCommandFile,
  writeExports,
} from './exports.js';
import type { Generation } from './generations.js';
import type { Store } from './store.js';

/** Programs there are the machine's: an app does not get in front of them by itself. */
const SYSTEM_DIRECTORIES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/**
 * Gives a generation that is about to become current the plans of the app's commands, so that they never lead nowhere. One
 * that cannot be compiled is said and does not keep the app from being installed.
 * @returns what to do once it is current
 */
export async function prepareExports(store: Store, generation: Generation): Promise<() => Promise<void>> {
  const { paths, reporter } = store;
  const { name } = generation;
  const exports = readExports(paths, name);
  const wanted = await wantedCommands(store, generation, exports);
  const compiled: ExportedCommand[] = [];
  for (const command of wanted) {
    try {
      await compileCommands(generation, [command], { root: paths.root, lockTimeout: store.lockTimeout });
      compiled.push(command);
    } catch (error) {
      reporter.warn(`the command ${command.command} of ${name} does not work any more: ${reasonOf(error)}`);
    }
  }
  return async () => await settle(store, { name, exports, wanted, compiled });
}

async function wantedCommands(store: Store, generation: Generation, exports: Exports): Promise<ExportedCommand[]> {
  const { name } = generation;
  const asked = exports.commands.filter(({ declared }) => !declared);
  const taken = new Set(asked.map(({ command }) => command));
  const wanted = [...asked];
  for (const { command, exec } of declaredCommands(readRunSpec(generation))) {
    if (taken.has(command) || exports.withheld?.includes(command) === true) continue;
    const known = exports.commands.find((entry) => entry.command === command);
    const file = known?.file ?? (await freeFile(store, { name, command }));
    if (file !== undefined) wanted.push({ command, file, exec, declared: true });
  }
  return wanted;
}

/** Where a command that an app declares goes, unless something is in the way. */
async function freeFile(
  store: Store,
  { name, command }: { name: string; command: string },
): Promise<string | undefined> {
  const { binDir, reporter, paths } = store;
  if (binDir === undefined) return undefined;
  const file = join(binDir, command);
  for (const directory of new Set([binDir, ...SYSTEM_DIRECTORIES])) {
    const other = join(directory, command);
    if ((await lookAtFile(other, lineSuffix(paths, { name, command }))) !== 'foreign') continue;
    reporter.warn(
      `the command ${command} of ${name} was not put into ${binDir}: ${other} is in the way ` +
        `(trees export-bin ${name} ${command} --as NAME gives it another name)`,
    );
    return undefined;
  }
  return file;
}

interface Settling {
  readonly name: string;
  readonly exports: Exports;
  readonly wanted: readonly ExportedCommand[];
  readonly compiled: readonly ExportedCommand[];
}

async function settle(store: Store, { name, exports, wanted, compiled }: Settling): Promise<void> {
  const { paths, reporter } = store;
  const gone = exports.commands.filter(({ command }) => !wanted.some((entry) => entry.command === command));
  for (const { command, file } of gone) {
    if ((await lookAtFile(file, lineSuffix(paths, { name, command }))) === 'ours') await rm(file, { force: true });
  }
  for (const entry of compiled) {
    try {
      await placeCommand(store, name, entry);
    } catch (error) {
      reporter.warn(`the command ${entry.command} of ${name} was not put in its place: ${reasonOf(error)}`);
    }
  }
  if (JSON.stringify(wanted) !== JSON.stringify(exports.commands)) {
    await writeExports(paths, name, { ...exports, commands: wanted });
  }
}

/**
 * Makes a command's file, unless it is as it should be.
 * @param options.force replace whatever is there
 * @throws TreesError PATH_CONFLICT, UNSUPPORTED
 */
export async function placeCommand(
  { paths }: Pick<Store, 'paths'>,
  name: string,
  { command, file }: Pick<ExportedCommand, 'command' | 'file'>,
  options: { readonly force?: boolean } = {},
): Promise<void> {
  const line = commandLine(paths, launcherPath(), { name, command });
  if (options.force !== true && (await lookAtFile(file, lineSuffix(paths, { name, command }))) === 'foreign') {
    throw new TreesError('PATH_CONFLICT', `cannot export ${command} of ${name}: ${file} is something else`, {
      hint: 'choose another name (--as) or directory (--dir), or replace it with --force',
      details: { path: file },
    });
  }
  await writeCommandFile(file, line);
}
