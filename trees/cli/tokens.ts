import type { OptionSpec } from './command.js';

/** An option table indexed by every spelling: `--name`, `-a`. */
export type OptionIndex = ReadonlyMap<string, { readonly name: string; readonly spec: OptionSpec }>;

/** Indexes option tables by spelling; a later table shadows an earlier one's names and aliases. */
export function indexOptions(...tables: ReadonlyArray<Readonly<Record<string, OptionSpec>>>): OptionIndex {
  const index = new Map<string, { name: string; spec: OptionSpec }>();
  for (const table of tables) {
    for (const [name, spec] of Object.entries(table)) {
      index.set(`--${name}`, { name, spec });
      for (const alias of aliasesOf(spec)) index.set(alias.length === 1 ? `-${alias}` : `--${alias}`, { name, spec });
    }
  }
  return index;
}

export function aliasesOf(spec: OptionSpec): readonly string[] {
  if (spec.alias === undefined) return [];
  return typeof spec.alias === 'string' ? [spec.alias] : spec.alias;
}

/**
 * Position of the first word that is not an option nor an option's value; `argv.length` if there is none.
 * Unknown options are taken to have no separate value: the parser proper complains about them.
 */
export function firstWord(argv: readonly string[], index: OptionIndex): number {
  for (let i = 0; i < argv.length; i++) {
    const token = argv[i] ?? '';
    if (token === '--') return argv.length;
    if (!token.startsWith('-') || token === '-') return i;
    const last = token.startsWith('--') ? { spelling: token, rest: '' } : lettersOf(token, index).at(-1);
    const known = last?.rest === '' ? index.get(last.spelling) : undefined;
    if (known !== undefined && known.spec.type !== 'boolean') i++;
  }
  return argv.length;
}

/**
 * The options in a word of short ones, `-abc`: each letter, up to the first that takes a value or is not known; what
 * follows that one in the word is its `rest`.
 */
export function lettersOf(word: string, index: OptionIndex): Array<{ spelling: string; rest: string }> {
  const letters: Array<{ spelling: string; rest: string }> = [];
  for (let at = 1; at < word.length; at++) {
    const spelling = `-${word[at]}`;
    const simple = index.get(spelling)?.spec.type === 'boolean';
    letters.push({ spelling, rest: simple ? '' : word.slice(at + 1) });
    if (!simple) break;
  }
  return letters;
}
