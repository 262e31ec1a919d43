import { usageError } from '../errors.js';
import type { Command, OptionSpec } from './command.js';
import { globalOptions } from './globals.js';
import { indexOptions, lettersOf, type OptionIndex } from './tokens.js';

/**
 * Writes every option of a line out, so that nothing is left to guess: `-fb deb`, `-bdeb` and `--base deb` all become
 * `--base=deb`. Explains what is wrong with the options and the number of words.
 *
 * @param words the words after the command word, up to `--`
 * @throws TreesError USAGE
 */
export function spellOut(command: Command, words: readonly string[], hint: string): string[] {
  const { options, plain } = spellOutOptions(words, indexOptions(globalOptions, command.options), hint);
  for (const [name, spec] of Object.entries(command.options)) {
    const missing = spec.required === true && !options.some((option) => option.startsWith(`--${name}=`));
    if (missing) throw usageError(`Expected --${name}${spec.value === undefined ? '' : ` ${spec.value}`}`, hint);
  }
  checkWords(command, plain, hint);
  return [...options, ...plain];
}

/**
 * The same for options alone.
 * @returns the options as `--name` or `--name=value`, and the words that are none, both in order
 * @throws TreesError USAGE
 */
export function spellOutOptions(
  words: readonly string[],
  index: OptionIndex,
  hint: string,
): { options: string[]; plain: string[] } {
  const options: string[] = [];
  const plain: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (!word.startsWith('-') || word === '-') {
      plain.push(word);
      continue;
    }
    for (const { spelling, attached } of optionsIn(word, index)) {
      const option = index.get(spelling);
      if (option === undefined) {
        options.push(negated(spelling, { attached, index, hint }));
      } else if (option.spec.type === 'boolean') {
        options.push(flag(option.name, attached, hint));
      } else {
        const name = `--${option.name}`;
        const value = attached ?? following(words[++i], name, { spec: option.spec, hint });
        checkValue(name, value, { spec: option.spec, hint });
        options.push(`${name}=${value}`);
      }
    }
  }
  rejectRepeated(options, index, hint);
  return { options, plain };
}

/** The options in one word: `--name=value` has one, `-abc` three unless `-a` takes the rest for its value. */
function optionsIn(word: string, index: OptionIndex): Array<{ spelling: string; attached: string | undefined }> {
  if (word.startsWith('--')) {
    const equals = word.indexOf('=');
    if (equals < 0) return [{ spelling: word, attached: undefined }];
    return [{ spelling: word.slice(0, equals), attached: word.slice(equals + 1) }];
  }
  return lettersOf(word, index).map(({ spelling, rest }) => ({ spelling, attached: rest === '' ? undefined : rest }));
}

function negated(spelling: string, { attached, index, hint }: { attached: string | undefined } & Hinted): string {
  const positive = spelling.startsWith('--no-') ? index.get(`--${spelling.slice('--no-'.length)}`) : undefined;
  if (positive?.spec.type !== 'boolean') throw usageError(`unknown option ${spelling}`, hint);
  if (attached !== undefined) throw usageError(`Expected ${spelling} without a value, got "${attached}"`, hint);
  return `--no-${positive.name}`;
}

type Hinted = { readonly index: OptionIndex; readonly hint: string };

function flag(name: string, value: string | undefined, hint: string): string {
  if (value === undefined || value === 'true') return `--${name}`;
  if (value === 'false') return `--no-${name}`;
  throw usageError(`Expected --${name} without a value, got "${value}"`, hint);
}

function following(word: string | undefined, name: string, { spec, hint }: { spec: OptionSpec; hint: string }): string {
  const number = spec.type === 'number' && word !== undefined && Number.isFinite(Number(word));
  if (word !== undefined && (!word.startsWith('-') || word === '-' || number)) return word;
  const got = word === undefined ? 'nothing' : `the option ${word}`;
  throw usageError(
    `Expected a value${spec.value === undefined ? '' : ` (${spec.value})`} after ${name}, got ${got}`,
    hint,
  );
}

function checkValue(name: string, value: string, { spec, hint }: { spec: OptionSpec; hint: string }): void {
  if (spec.choices !== undefined && !spec.choices.includes(value)) {
    throw usageError(`Expected ${name} to be ${spec.choices.join(' or ')}, got "${value}"`, hint);
  }
  if (spec.type === 'number' && (value.trim() === '' || !Number.isFinite(Number(value)))) {
    throw usageError(`Expected ${name} to be a number, got "${value}"`, hint);
  }
  // Mostly a variable that was not set. Taken for a path it would be the working directory.
  if (value === '' && spec.value !== 'TEXT') {
    throw usageError(`Expected ${name} to be ${spec.value ?? 'a value'}, got an empty string`, hint);
  }
}

function rejectRepeated(options: readonly string[], index: OptionIndex, hint: string): void {
  const counts = new Map<string, number>();
  for (const option of options) {
    const spelling = option.split('=')[0] ?? '';
    counts.set(spelling, (counts.get(spelling) ?? 0) + 1);
  }
  for (const [spelling, count] of counts) {
    const type = index.get(spelling)?.spec.type;
    if (count > 1 && (type === 'string' || type === 'number')) {
      throw usageError(`Expected ${spelling} once, got it ${count} times`, hint);
    }
  }
}

function checkWords(command: Command, plain: readonly string[], hint: string): void {
  const missing = command.positionals[plain.length];
  if (missing?.required === true) throw usageError(`Expected ${missing.name.toUpperCase()}, got nothing`, hint);
  const extra = plain[command.positionals.length];
  if (extra === undefined || command.positionals.some((positional) => positional.variadic === true)) return;
  const advice = command.restName === undefined ? hint : `words for ${command.restName} go after "--"`;
  throw usageError(`unexpected word "${extra}"`, advice);
}
