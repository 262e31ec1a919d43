import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '../config/schema.js';
import { isErrno } from '../errors.js';
import { storePaths } from '../store/paths.js';
import type { Command, CommandGroup, CompletionSource } from './command.js';
import { globalOptions, legacyOptions } from './globals.js';
import { findCommand, registry } from './registry.js';
import { firstWord, indexOptions } from './tokens.js';

/**
 * What may stand at the end of a command line.
 * @param words the words after `trees`; the last one is being typed
 * @returns words, or one line `:file` or `:directory` that lets the shell complete paths
 */
export async function complete(words: readonly string[], settings: Settings): Promise<string[]> {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const at = firstWord(before, indexOptions(globalOptions, legacyOptions));
  const word = before[at];
  const candidates =
    word === undefined
      ? firstWords(before, typed, settings)
      : await commandWords(word, before.slice(at + 1), typed, settings);
  const fitting = candidates.filter((candidate) => candidate.startsWith(':') || candidate.startsWith(typed));
  return [...new Set(fitting)].sort();
}

function firstWords(before: readonly string[], typed: string, settings: Settings): string[] {
  const value = optionValue(before.at(-1), indexOptions(globalOptions, legacyOptions), settings);
  if (value !== undefined) return value;
  if (typed.startsWith('-')) return optionNames({ ...globalOptions, ...legacyOptions });
  return ['help', ...commandNames(), ...installedApps(settings), ...offered(settings, 'apps')];
}

function commandNames(): string[] {
  return registry.flatMap((entry) => [entry.name, ...(entry.aliases ?? [])]);
}

async function commandWords(
  word: string,
  after: readonly string[],
  typed: string,
  settings: Settings,
): Promise<string[]> {
  if (word === 'help') return helpWords(after);
  const loaded: Command | CommandGroup =
    (await findCommand(word)?.load()) ?? (await import('./commands/app.js')).command;
  let command: Command;
  let words = after;
  if (loaded.kind === 'group') {
    const at = firstWord(after, indexOptions(globalOptions));
    const member = loaded.commands.find((candidate) => candidate.name === after[at]);
    const names = loaded.commands.map((candidate) => candidate.name);
    const chosen = member ?? loaded.fallback;
    if (chosen === undefined) return names;
    // What the fallback completes, paths for one, must not hide the names.
    const atName = at === after.length && after.at(-1)?.startsWith('-') !== true;
    if (member === undefined && atName && names.some((name) => name.startsWith(typed))) return names;
    command = chosen;
    words = member === undefined ? after : after.slice(at + 1);
  } else {
    command = loaded;
  }
  const index = indexOptions(globalOptions, command.options);
  const value = optionValue(words.at(-1), index, settings);
  if (value !== undefined) return value;
  if (typed.startsWith('-')) return [...optionNames(command.options), ...optionNames(globalOptions)];
  let given = 0;
  for (let rest = words; firstWord(rest, index) < rest.length; rest = rest.slice(firstWord(rest, index) + 1)) given++;
  const positional =
    command.positionals[given] ?? command.positionals.findLast((candidate) => candidate.variadic === true);
  if (positional?.choices !== undefined) return [...positional.choices];
  return positional?.complete === undefined ? [] : fromSource(positional.complete, settings);
}

async function helpWords([word]: readonly string[]): Promise<string[]> {
  if (word === undefined) return commandNames();
  const loaded = await findCommand(word)?.load();
  return loaded?.kind === 'group' ? loaded.commands.map((command) => command.name) : [];
}

/** Candidates for the value of the option just typed; undefined if the previous word takes none. */
function optionValue(
  previous: string | undefined,
  index: ReturnType<typeof indexOptions>,
  settings: Settings,
): string[] | undefined {
  const option = previous === undefined ? undefined : index.get(previous);
  if (option === undefined || option.spec.type === 'boolean') return undefined;
  if (option.spec.choices !== undefined) return [...option.spec.choices];
  return option.spec.complete === undefined ? [':file'] : fromSource(option.spec.complete, settings);
}

function optionNames(options: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(options).map((name) => `--${name}`);
}

function fromSource(source: CompletionSource, settings: Settings): string[] {
  switch (source) {
    case 'file':
    case 'definition':
      return [':file'];
    case 'directory':
      return [':directory'];
    case 'installed':
      return installedApps(settings);
    case 'instances':
      return [...entries(settings.runtimeDir), ...entries(storePaths(settings.root).data)];
    case 'app':
      return [...installedApps(settings), ...offered(settings, 'apps')];
    case 'base':
      return offered(settings, 'bases');
    case 'feed':
      return entries(storePaths(settings.root).feeds);
  }
}

/** Apps that have a current generation. Completion runs on every Tab, so nothing heavier than readlink is done. */
function installedApps(settings: Settings): string[] {
  const paths = storePaths(settings.root);
  return entries(paths.apps).filter((name) => {
    try {
      return readlinkSync(paths.current(name)) !== '';
    } catch {
      return false;
    }
  });
}

/** Names in the indexes that were verified last, and in what was seen last of feeds that have none. */
function offered(settings: Settings, kind: 'apps' | 'bases'): string[] {
  const paths = storePaths(settings.root);
  const files = entries(paths.feeds).flatMap((feed) => [`${feed}/index.json`, `${feed}/legacy.json`]);
  return files.flatMap((file) => {
    try {
      const index: unknown = JSON.parse(readFileSync(join(paths.feeds, file), 'utf8'));
      return Object.keys(Reflect.get(Object(index), kind) ?? {});
    } catch {
      return [];
    }
  });
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return [];
    throw error;
  }
}
