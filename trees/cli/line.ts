import { TreesError, usageError } from '../errors.js';
import type { Command, CommandGroup } from './command.js';
import { fastParse, type ParsedLine } from './fast-parse.js';
import { globalOptions, legacyOptions } from './globals.js';
import { findCommand } from './registry.js';
import { spellOutOptions } from './spell-out.js';
import { firstWord, indexOptions } from './tokens.js';

/** What the words on the command line ask for. */
export type Request =
  | { readonly kind: 'version' }
  | { readonly kind: 'help'; readonly text: () => Promise<string>; readonly status: number }
  | { readonly kind: 'run'; readonly command: Command; readonly line: ParsedLine };

const anywhere = indexOptions(globalOptions, legacyOptions);
const globalsOnly = indexOptions(globalOptions);

/**
 * Decides which command is meant and parses its arguments. The first word that is no option is the command; if no
 * command has that name it is an app, in the original form `trees APP [-b BASE] [-n NAME] [-f] [-d]`.
 * @throws TreesError USAGE
 */
export async function readLine(argv: readonly string[]): Promise<Request> {
  const at = firstWord(argv, anywhere);
  const before = argv.slice(0, at);
  const word = argv[at];
  if (before.some((token) => token === '--version' || token === '-V')) return { kind: 'version' };
  if (word === 'help') return helpFor(argv.slice(at + 1).filter((token) => !token.startsWith('-')));
  const entry = word === undefined ? undefined : findCommand(word);
  if (entry === undefined) return legacyLine(argv, word);

  const loaded = await entry.load();
  if (wantsHelp(before)) return helpFor(argv.slice(at).filter((token) => !token.startsWith('-')));
  const leading = readGlobals(before);
  const after = argv.slice(at + 1);
  const { command, title, words } =
    loaded.kind === 'group' ? pickMember(loaded, after) : { command: loaded, title: loaded.name, words: after };
  if (command === undefined) return groupRequest(loaded, words);
  const line = fastParse(command, words) ?? (await slowParse(command, title, words));
  if (line === 'help') {
    if (loaded.kind === 'group' && command === loaded.fallback) return groupRequest(loaded, ['--help']);
    return { kind: 'help', text: () => helpText(command, title), status: 0 };
  }
  return { kind: 'run', command, line: { args: line.args, globals: { ...leading, ...line.globals } } };
}

function pickMember(group: CommandGroup, words: readonly string[]) {
  const at = firstWord(words, globalsOnly);
  const word = words[at];
  const command = group.commands.find(
    (candidate) => candidate.name === word || (word !== undefined && candidate.aliases.includes(word)),
  );
  if (command === undefined) return { command: group.fallback, title: group.name, words };
  return {
    command,
    title: `${group.name} ${command.name}`,
    words: [...words.slice(0, at), ...words.slice(at + 1)],
  };
}

function groupRequest(group: Command | CommandGroup, words: readonly string[]): Request {
  if (group.kind !== 'group') throw new Error('a command is no group');
  const asked = wantsHelp(words);
  const word = words[firstWord(words, globalsOnly)];
  if (word !== undefined && !asked) {
    const names = group.commands.map((command) => command.name).join(', ');
    throw usageError(`unknown command "${group.name} ${word}"`, `Expected one of: ${names}`);
  }
  return {
    kind: 'help',
    text: async () => (await import('./yargs-parse.js')).groupHelp(group),
    status: asked ? 0 : 2,
  };
}

async function helpText(command: Command, title: string): Promise<string> {
  return (await import('./yargs-parse.js')).commandHelp(command, title);
}

async function helpFor(words: readonly string[]): Promise<Request> {
  const [word, member] = words;
  if (word === undefined || word === 'help') return generalHelpRequest(0);
  const entry = findCommand(word);
  if (entry === undefined) throw usageError(`no command is named "${word}"`, 'trees --help lists all commands');
  const loaded = await entry.load();
  if (loaded.kind === 'command') return { kind: 'help', text: () => helpText(loaded, loaded.name), status: 0 };
  if (member === undefined) return groupRequest(loaded, ['--help']);
  const { command } = pickMember(loaded, [member]);
  if (command === undefined || command === loaded.fallback) return groupRequest(loaded, [member]);
  return { kind: 'help', text: () => helpText(command, `${loaded.name} ${command.name}`), status: 0 };
}

function generalHelpRequest(status: number): Request {
  return { kind: 'help', text: async () => (await import('./yargs-parse.js')).generalHelp(), status };
}

async function legacyLine(argv: readonly string[], word: string | undefined): Promise<Request> {
  if (wantsHelp(argv)) return generalHelpRequest(0);
  if (word === undefined) {
    const { options } = spellOutOptions(beforeDashes(argv), anywhere, 'see: trees --help');
    const original = options.some((option) => (option.split('=')[0] ?? '').slice(2) in legacyOptions);
    if (!original) return generalHelpRequest(2);
  }
  const { command } = await import('./commands/app.js');
  const line = fastParse(command, argv) ?? (await slowParse(command, '', argv));
  if (line === 'help') return generalHelpRequest(0);
  return { kind: 'run', command, line };
}

async function slowParse(command: Command, title: string, words: readonly string[]): Promise<ParsedLine | 'help'> {
  if (wantsHelp(words) && !('help' in command.options)) return 'help';
  try {
    return await (await import('./yargs-parse.js')).yargsParse(command, title, words);
  } catch (error) {
    if (!(error instanceof TreesError) || error.code !== 'USAGE') throw error;
    throw new TreesError('USAGE', error.message, {
      status: command.usageStatus,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
}

function wantsHelp(words: readonly string[]): boolean {
  return beforeDashes(words).some((token) => token === '--help' || token === '-h');
}

function beforeDashes(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--');
  return end < 0 ? words : words.slice(0, end);
}

/** Options before the command word: global ones only. */
function readGlobals(tokens: readonly string[]): Readonly<Record<string, unknown>> {
  const misplaced = tokens.find((token) => anywhere.has(token) && !globalsOnly.has(token));
  if (misplaced !== undefined) {
    throw usageError(
      `option ${misplaced} belongs after the command`,
      'only global options may stand before it: trees --help',
    );
  }
  const globals: Record<string, unknown> = {};
  for (const option of spellOutOptions(tokens, globalsOnly, 'see: trees --help').options) {
    const equals = option.indexOf('=');
    if (equals > 0) globals[option.slice(2, equals)] = option.slice(equals + 1);
    else if (globalsOnly.has(option)) globals[option.slice(2)] = true;
    else globals[option.slice('--no-'.length)] = false;
  }
  return globals;
}
