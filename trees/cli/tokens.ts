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
    const known = index.get(token);
    if (known !== undefined && known.spec.type !== 'boolean') i++;
  }
  return argv.length;
}
