import type { Command } from './command.js';
import { globalOptions } from './globals.js';
import { indexOptions } from './tokens.js';

export interface ParsedLine {
  /** Values of options and positionals by name. */
  readonly args: Readonly<Record<string, unknown>>;
  /** Values of the global options, by name. */
  readonly globals: Readonly<Record<string, unknown>>;
}

/**
 * Parses the command lines that scripts run in loops (`ls`, `run`) without loading yargs, which costs more than the
 * rest of the command. Understands the plain forms only and returns undefined for everything else (help, mistakes,
 * clustered short options), which yargs then parses or explains.
 *
 * @param argv words after the command word
 */
export function fastParse(command: Command, argv: readonly string[]): ParsedLine | undefined {
  const index = indexOptions(globalOptions, command.options);
  const values: Record<string, unknown> = {};
  const globals: Record<string, unknown> = {};
  const words: string[] = [];
  let rest: readonly string[] = [];

  for (let i = 0; i < argv.length; i++) {
    const token = argv[i] ?? '';
    if (token === '--') {
      rest = argv.slice(i + 1);
      break;
    }
    if (!token.startsWith('-') || token === '-') {
      words.push(token);
      continue;
    }
    const equals = token.startsWith('--') ? token.indexOf('=') : -1;
    const option = index.get(equals > 0 ? token.slice(0, equals) : token);
    if (option === undefined || option.name === 'help') return undefined;
    const target = option.name in command.options ? values : globals;
    if (option.spec.type === 'boolean') {
      if (equals > 0) return undefined;
      target[option.name] = true;
      continue;
    }
    const value = equals > 0 ? token.slice(equals + 1) : argv[++i];
    if (value === undefined || value === '' || (equals < 0 && value.startsWith('-'))) return undefined;
    if (option.spec.choices !== undefined && !option.spec.choices.includes(value)) return undefined;
    if (option.spec.type === 'array') {
      const list = target[option.name];
      target[option.name] = Array.isArray(list) ? [...list, value] : [value];
    } else if (option.name in target || option.spec.type === 'number') {
      return undefined;
    } else {
      target[option.name] = value;
    }
  }

  if (rest.length > 0 && command.restName === undefined) return undefined;
  for (const [name, spec] of Object.entries(command.options)) {
    if (spec.required === true && !(name in values)) return undefined;
  }
  for (const positional of command.positionals) {
    if (positional.variadic === true) {
      if (positional.required === true && words.length === 0) return undefined;
      values[positional.name] = words.splice(0);
    } else {
      const word = words.shift();
      if (word === undefined && positional.required === true) return undefined;
      values[positional.name] = word;
    }
  }
  if (words.length > 0) return undefined;
  return { args: { ...values, rest }, globals };
}
