import yargs, { type Argv, type Options } from 'yargs';
import { usageError } from '../errors.js';
import type { Command, CommandGroup, OptionSpec } from './command.js';
import type { ParsedLine } from './fast-parse.js';
import { globalOptions } from './globals.js';
import { registry } from './registry.js';
import { aliasesOf, indexOptions, type OptionIndex } from './tokens.js';

const HELP_WIDTH = 100;

/** Parses the words after the command word. @throws TreesError USAGE with yargs' explanation */
export async function yargsParse(command: Command, title: string, argv: readonly string[]): Promise<ParsedLine> {
  const dashes = argv.indexOf('--');
  const before = dashes < 0 ? [...argv] : argv.slice(0, dashes);
  const rest = dashes < 0 ? [] : argv.slice(dashes + 1);
  const hint = `see: trees ${title} --help`;
  if (rest.length > 0 && command.restName === undefined) {
    throw usageError(`unexpected words after "--": ${rest.join(' ')}`, hint);
  }
  rejectUnknown(command, before, hint);
  const parser = describeCommand(command, title)
    .exitProcess(false)
    .strict()
    .help(false)
    .version(false)
    .fail((message: string | undefined, error: Error | undefined) => {
      throw usageError(message ?? error?.message ?? 'cannot parse the command line', hint);
    });
  const parsed = await parser.parseAsync(before);

  const args: Record<string, unknown> = { rest };
  const globals: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(command.options)) {
    rejectRepeated(name, spec, parsed[name], hint);
    if (parsed[name] !== undefined) args[name] = parsed[name];
  }
  for (const [name, spec] of Object.entries(globalOptions)) {
    if (name in command.options) continue;
    rejectRepeated(name, spec, parsed[name], hint);
    if (parsed[name] !== undefined) globals[name] = parsed[name];
  }
  for (const positional of command.positionals) args[positional.name] = parsed[positional.name];
  return { args, globals };
}

/** Yargs takes the word after an option it does not know for its value, and then complains about a missing word. */
function rejectUnknown(command: Command, words: readonly string[], hint: string): void {
  const index = indexOptions(globalOptions, command.options);
  for (let i = 0; i < words.length; i++) {
    const spellings = optionSpellings(words[i] ?? '', index);
    for (const spelling of spellings) {
      const known = index.get(spelling) ?? index.get(spelling.replace(/^--no-/, '--'));
      if (known === undefined) throw usageError(`unknown option ${spelling}`, hint);
      const inWord = (words[i] ?? '').length > spelling.length;
      if (known.spec.type !== 'boolean' && !inWord) i++;
    }
  }
}

/** The options in one word: `--name=value` has one, `-abc` three unless `-a` takes the rest for its value. */
function optionSpellings(word: string, index: OptionIndex): string[] {
  if (!word.startsWith('-') || word === '-') return [];
  if (word.startsWith('--')) return [word.split('=')[0] ?? ''];
  const spellings: string[] = [];
  for (const letter of word.slice(1)) {
    spellings.push(`-${letter}`);
    if (index.get(`-${letter}`)?.spec.type !== 'boolean') break;
  }
  return spellings;
}

function rejectRepeated(name: string, spec: OptionSpec, value: unknown, hint: string): void {
  if (spec.type !== 'array' && Array.isArray(value)) {
    throw usageError(`Expected --${name} once, got it ${value.length} times`, hint);
  }
  if (spec.type === 'number' && typeof value === 'number' && Number.isNaN(value)) {
    throw usageError(`Expected --${name} to be a number`, hint);
  }
}

/** Help text of one command. */
export async function commandHelp(command: Command, title: string): Promise<string> {
  return `${await describeCommand(command, title).help(false).version(false).getHelp()}\n`;
}

/** Help text of a group: its commands, then each one's usage. */
export async function groupHelp(group: CommandGroup): Promise<string> {
  const parser = yargs([])
    .scriptName('trees')
    .usage(`trees ${group.name} COMMAND\n\n${capitalise(group.summary)}.`);
  for (const command of group.commands)
    parser.command(usageOf(command, `${group.name} ${command.name}`), command.summary);
  for (const command of group.commands) {
    for (const [line, what] of command.examples) parser.example(`trees ${line}`, what);
  }
  return `${await parser.help(false).version(false).wrap(HELP_WIDTH).getHelp()}\n`;
}

/** `trees --help`. */
export async function generalHelp(): Promise<string> {
  const parser = yargs([])
    .scriptName('trees')
    .usage(
      [
        'trees APP [-b BASE] [-n NAME] [-f] [-d]    install APP from a feed (-d: remove it and prune the store)',
        'trees COMMAND [OPTIONS]',
        '',
        'Apps as OSTree deltas over a shared base, launched in small isolated containers.',
      ].join('\n'),
    )
    .parserConfiguration({ 'boolean-negation': false });
  for (const entry of registry) {
    parser.command([entry.name, ...(entry.aliases ?? [])], entry.summary);
  }
  addOptions(parser, globalOptions);
  parser
    .example('trees feed add dir:/srv/feed --key trees.pub', 'trust a feed')
    .example('trees etcd -b deb', 'install etcd over the Debian base')
    .example('trees run etcd', 'launch it')
    .example('trees etcd -d', 'remove it again')
    .epilogue('Help for one command: trees COMMAND --help. An app named like a command: trees install NAME.');
  return `${await parser.help(false).version(false).wrap(HELP_WIDTH).getHelp()}\n`;
}

function describeCommand(command: Command, title: string): Argv {
  const parser = yargs([])
    .scriptName('')
    .parserConfiguration({
      'camel-case-expansion': false,
      'parse-positional-numbers': false,
      'duplicate-arguments-array': true,
      'greedy-arrays': false,
    })
    .wrap(HELP_WIDTH)
    .showHelpOnFail(false);
  parser.command(
    ['$0', ...command.positionals.map(positionalUsage)].join(' '),
    false,
    (builder: Argv) => {
      for (const positional of command.positionals) {
        builder.positional(positional.name, { type: 'string', describe: positional.describe });
      }
      return builder;
    },
    () => undefined,
  );
  const about =
    command.description === ''
      ? `${capitalise(command.summary)}.`
      : `${capitalise(command.summary)}.\n\n${command.description}`;
  parser.usage(`trees ${usageOf(command, title)}\n\n${about}`);
  addOptions(parser, command.options);
  const globals = Object.entries(globalOptions).filter(([name]) => name !== 'help' && !(name in command.options));
  const own = new Set(Object.values(command.options).flatMap(aliasesOf));
  for (const [name, spec] of globals) {
    const option = toYargs(spec);
    parser.option(name, {
      ...option,
      alias: aliasesOf(spec).filter((alias) => !own.has(alias)),
      group: 'Global options:',
    });
  }
  for (const [line, what] of command.examples) parser.example(`trees ${line}`, what);
  return parser;
}

function addOptions(parser: Argv, options: Readonly<Record<string, OptionSpec>>): void {
  for (const [name, spec] of Object.entries(options)) parser.option(name, toYargs(spec));
}

function toYargs(spec: OptionSpec): Options {
  const option: Options = {
    describe: spec.value === undefined ? spec.describe : `${spec.describe} [${spec.value}]`,
    alias: [...aliasesOf(spec)],
  };
  if (spec.type === 'array') {
    option.type = 'array';
    option.string = true;
  } else {
    option.type = spec.type;
  }
  if (spec.type !== 'boolean') option.requiresArg = true;
  if (spec.choices !== undefined) option.choices = spec.choices;
  if (spec.required === true) option.demandOption = true;
  return option;
}

function positionalUsage(positional: Command['positionals'][number]): string {
  const name = positional.variadic === true ? `${positional.name}..` : positional.name;
  return positional.required === true ? `<${name}>` : `[${name}]`;
}

/** `co APP [-t PATH]`-like usage line without the leading `trees`. */
export function usageOf(command: Command, title: string): string {
  const words = command.positionals.map((positional) => {
    const name = positional.name.toUpperCase() + (positional.variadic === true ? '…' : '');
    return positional.required === true ? name : `[${name}]`;
  });
  const options = Object.keys(command.options).length > 0 ? ['[OPTIONS]'] : [];
  const rest = command.restName === undefined ? [] : [`[-- ${command.restName}]`];
  return [title, ...words, ...options, ...rest].join(' ');
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
