import yargs, { type Argv, type Options } from 'yargs';
import { usageError } from '../errors.js';
import type { Command, CommandGroup, OptionSpec } from './command.js';
import type { ParsedLine } from './fast-parse.js';
import { globalOptions } from './globals.js';
import { registry } from './registry.js';
import { spellOut } from './spell-out.js';
import { aliasesOf } from './tokens.js';

const HELP_WIDTH = 100;

/** Parses the words after the command word. @throws TreesError USAGE */
export async function yargsParse(command: Command, title: string, argv: readonly string[]): Promise<ParsedLine> {
  const dashes = argv.indexOf('--');
  const before = dashes < 0 ? [...argv] : argv.slice(0, dashes);
  const rest = dashes < 0 ? [] : argv.slice(dashes + 1);
  const hint = `see: ${['trees', title, '--help'].filter((word) => word !== '').join(' ')}`;
  if (rest.length > 0 && command.restName === undefined) {
    throw usageError(`unexpected words after "--": ${rest.join(' ')}`, hint);
  }
  const words = spellOut(command, before, hint);
  const parser = describeCommand(command, title)
    .exitProcess(false)
    .strict()
    .fail((message: string | undefined, error: Error | undefined) => {
      throw usageError(message ?? error?.message ?? 'cannot parse the command line', hint);
    });
  const parsed = await parser.parseAsync(words);

  const args: Record<string, unknown> = { rest };
  const globals: Record<string, unknown> = {};
  for (const name of Object.keys(command.options)) {
    if (parsed[name] !== undefined) args[name] = parsed[name];
  }
  for (const name of Object.keys(globalOptions)) {
    if (name in command.options) continue;
    if (parsed[name] !== undefined) globals[name] = parsed[name];
  }
  for (const { name, variadic } of command.positionals)
    args[name] = parsed[name] ?? (variadic === true ? [] : undefined);
  return { args, globals };
}

/** Help text of one command. */
export async function commandHelp(command: Command, title: string): Promise<string> {
  return `${await describeCommand(command, title).getHelp()}\n`;
}

/** Help text of a group: its commands, then each one's usage. */
export async function groupHelp(group: CommandGroup): Promise<string> {
  if (group.fallback !== undefined) return await fallbackHelp(group, group.fallback);
  const parser = yargs([], '/')
    .scriptName('trees')
    .usage(`trees ${group.name} COMMAND\n\n${capitalise(group.summary)}.`);
  for (const command of group.commands)
    parser.command(usageOf(command, `${group.name} ${command.name}`), command.summary);
  parser.epilogue(exampleList(group.commands.flatMap((command) => command.examples)));
  return `${await parser.help(false).version(false).wrap(HELP_WIDTH).getHelp()}\n`;
}

/** Help of a group whose word does something itself: that first, then the other commands. */
async function fallbackHelp(group: CommandGroup, fallback: Command): Promise<string> {
  const parser = describeCommand(fallback, group.name);
  const lines = group.commands.map(
    (command) => `  trees ${usageOf(command, `${group.name} ${command.name}`)}\n      ${command.summary}`,
  );
  parser.epilogue(`\nCommands:\n${lines.join('\n')}`);
  return `${await parser.getHelp()}\n`;
}

const generalExamples: Command['examples'] = [
  ['feed add dir:/srv/feed --key trees.pub', 'trust a feed'],
  ['etcd -b deb', 'install etcd over the Debian base'],
  ['run etcd', 'launch it'],
  ['etcd -d', 'remove it again'],
];

/** Yargs would break long lines, and then they can no longer be copied into a shell. */
function exampleList(examples: Command['examples']): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  const besides = examples.every(([, what]) => width + what.length + '  trees   '.length <= HELP_WIDTH);
  const lines = examples.map(([line, what]) =>
    besides ? `  trees ${line.padEnd(width)}  ${what}` : `  trees ${line}\n      ${what}`,
  );
  return `Examples:\n${lines.join('\n')}`;
}

/** `trees --help`. */
export async function generalHelp(): Promise<string> {
  const parser = yargs([], '/')
    .scriptName('trees')
    .usage(
      [
        'trees APP [-b BASE] [-n NAME] [-f] [-d]    install APP from a feed; -d: remove it',
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
    .epilogue(exampleList(generalExamples))
    .epilogue('\nHelp for one command: trees COMMAND --help. An app named like a command: trees install NAME.');
  return `${await parser.help(false).version(false).wrap(HELP_WIDTH).getHelp()}\n`;
}

function describeCommand(command: Command, title: string): Argv {
  const parser = yargs([], '/')
    .scriptName('')
    .parserConfiguration({
      'camel-case-expansion': false,
      'parse-positional-numbers': false,
      'duplicate-arguments-array': true,
      'greedy-arrays': false,
    })
    .wrap(HELP_WIDTH)
    .showHelpOnFail(false)
    // Before any option is named: a command may have one of these names.
    .help(false)
    .version(false);
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
  // Named before the global ones, so that help shows a command's own first.
  parser.group(
    command.positionals.map((positional) => positional.name),
    'Positionals:',
  );
  parser.group(Object.keys(command.options), 'Options:');
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
  parser.epilogue(exampleList(command.examples));
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
