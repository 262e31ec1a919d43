import type { Origin } from '../config/load.js';
import type { Settings } from '../config/schema.js';
import type { Reporter } from '../reporter.js';

/** What a command gets from the composition root; it reads nothing global. */
export interface Context {
  readonly settings: Settings;
  /** Where each setting came from. */
  readonly origins: readonly Origin[];
  readonly reporter: Reporter;
  /** Aborted by the first SIGINT/SIGTERM. */
  readonly signal: AbortSignal;
  /** The caller's environment, for passing on (`--env NAME`), not for settings. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Asks on the terminal; `true` at once with `--yes`; throws NOT_CONFIRMED where nobody can be asked. */
  confirm(question: string): Promise<boolean>;
}

export type OptionSpec = {
  readonly type: 'string' | 'boolean' | 'number' | 'array';
  readonly alias?: string | readonly string[];
  readonly describe: string;
  readonly choices?: readonly string[];
  /** Name of the value in help, e.g. `DIR`. */
  readonly value?: string;
  /** Where shell completion gets values from. */
  readonly complete?: CompletionSource;
  readonly required?: boolean;
};

export type PositionalSpec = {
  readonly name: string;
  readonly describe: string;
  readonly required?: boolean;
  readonly variadic?: boolean;
  readonly choices?: readonly string[];
  readonly complete?: CompletionSource;
};

export type CompletionSource =
  | 'app'
  | 'installed'
  | 'instances'
  | 'base'
  | 'feed'
  | 'file'
  | 'directory'
  | 'definition';

type OptionValue<O extends OptionSpec> = O['type'] extends 'boolean'
  ? boolean
  : O['type'] extends 'number'
    ? number
    : O['type'] extends 'array'
      ? string[]
      : string;

type OptionArgs<O extends Record<string, OptionSpec>> = {
  readonly [K in keyof O as O[K] extends { required: true } ? K : never]: OptionValue<O[K]>;
} & {
  readonly [K in keyof O as O[K] extends { required: true } ? never : K]?: OptionValue<O[K]> | undefined;
};

type PositionalArgs<P extends readonly PositionalSpec[]> = {
  readonly [S in P[number] as S['name']]: S extends { variadic: true }
    ? readonly string[]
    : S extends { required: true }
      ? string
      : string | undefined;
};

/** Parsed arguments of a command. `rest` is everything after `--`. */
export type Args<O extends Record<string, OptionSpec>, P extends readonly PositionalSpec[]> = OptionArgs<O> &
  PositionalArgs<P> & { readonly rest: readonly string[] };

export interface CommandResult {
  /** What `--json` prints: one document. */
  readonly json: unknown;
  /** What a person sees on stdout; '' prints nothing. */
  readonly text: string;
  /**
   * Printed as it comes, in place of `json` and `text`: for output that is long, or goes on while it is read. The
   * handler makes the form that the settings ask for.
   */
  readonly stream?: AsyncIterable<string | Uint8Array>;
  /** Exit status; 0 if absent. */
  readonly status?: number;
}

/** Several commands under one word: `feed add`, `feed ls`. */
export interface CommandGroup {
  readonly kind: 'group';
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
  /** What the group's word means where none of its commands follows: `release etcd` beside `release verify`. */
  readonly fallback?: Command;
}

/** A command as the registry, the parser, help, completion and the man page see it. */
export interface Command {
  readonly kind: 'command';
  readonly name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  /** Paragraphs for help and the man page. */
  readonly description: string;
  readonly positionals: readonly PositionalSpec[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Command line without the leading `trees `, and what it does. At least one. */
  readonly examples: readonly (readonly [string, string])[];
  /** Whether words after `--` are accepted (`run`, `exec`), and their name in usage. */
  readonly restName: string | undefined;
  /** Exit status for a wrong command line: 2, or 125 for `run` and `exec`. */
  readonly usageStatus: number;
  /** What a line comes to is kept, for the next one that is the same: `kept/keep.ts`. */
  readonly keepsLaunch: boolean;
  run(context: Context, args: Readonly<Record<string, unknown>>): Promise<CommandResult>;
}

interface CommandDefinition<O extends Record<string, OptionSpec>, P extends readonly PositionalSpec[]> {
  name: string;
  aliases?: readonly string[];
  summary: string;
  description?: string;
  positionals: P;
  options: O;
  examples: readonly (readonly [string, string])[];
  restName?: string;
  usageStatus?: number;
  keepsLaunch?: boolean;
  handler(context: Context, args: Args<O, P>): Promise<CommandResult>;
}

/**
 * Declares a command. Options and positionals are data, so that the parser, `--help`, completion and the man page
 * come from one table and the handler's arguments are typed by it.
 */
export function defineCommand<const O extends Record<string, OptionSpec>, const P extends readonly PositionalSpec[]>(
  definition: CommandDefinition<O, P>,
): Command {
  return {
    kind: 'command',
    name: definition.name,
    aliases: definition.aliases ?? [],
    summary: definition.summary,
    description: definition.description ?? '',
    positionals: definition.positionals,
    options: definition.options,
    examples: definition.examples,
    restName: definition.restName,
    usageStatus: definition.usageStatus ?? 2,
    keepsLaunch: definition.keepsLaunch ?? false,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the parser validated the values against the table that gives `Args` its type
    run: (context, args) => definition.handler(context, args as Args<O, P>),
  };
}

/**
 * Declares a command group; each command is named by its second word.
 * @param fallback what the group's own name does where no such word follows
 */
export function defineGroup(
  name: string,
  summary: string,
  commands: readonly Command[],
  fallback?: Command,
): CommandGroup {
  return { kind: 'group', name, summary, commands, ...(fallback === undefined ? {} : { fallback }) };
}
