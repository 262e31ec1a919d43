import type { Settings } from '../config/schema.js';
import { TreesError, usageError } from '../errors.js';
import type { Reporter } from '../reporter.js';
import { type Instance, listInstances, requireInstance } from '../run/instances.js';
import type { CommandResult, PositionalSpec } from './command.js';
import { reportError } from './errors.js';

/** For commands that take several instances. */
export const instanceNames = [
  { name: 'instance', describe: 'names of instances', variadic: true, complete: 'instances' },
] as const satisfies readonly PositionalSpec[];

export const allOption = { type: 'boolean', alias: 'a', describe: 'all instances that it can be done to' } as const;

export interface Choice {
  readonly names: readonly string[];
  readonly all: boolean | undefined;
  /** What is done, for messages: `stop`. */
  readonly what: string;
  /** Which ones `--all` means; default those that run. */
  readonly which?: (instance: Instance) => boolean;
}

/**
 * The instances that a command is about. One that is named and not there is left to `forEachInstance` to report.
 * @throws TreesError USAGE
 */
export function chooseInstances(settings: Settings, { names, all, what, which }: Choice): string[] {
  if (all === true) {
    if (names.length > 0) throw usageError('Expected names of instances or --all, got both');
    const fits = which ?? ((instance: Instance) => instance.alive);
    return listInstances(settings, { all: true })
      .filter(fits)
      .map(({ name }) => name);
  }
  if (names.length === 0) throw usageError(`Expected the name of an instance to ${what}, got none`, 'or --all');
  return [...new Set(names)];
}

export type Outcome<T> = ({ readonly name: string; readonly error?: never } & T) | FailedOutcome;

export interface FailedOutcome {
  readonly name: string;
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | undefined };
}

export interface ForEachOptions {
  readonly settings: Settings;
  readonly reporter: Reporter;
  readonly what: string;
}

/**
 * Does something to each instance, at once, and says what became of each; one that fails does not keep it from the others.
 * Where there is only one, its failure is the command's.
 */
export async function forEachInstance<T extends object>(
  names: readonly string[],
  { settings, reporter, what }: ForEachOptions,
  action: (instance: Instance) => Promise<T>,
): Promise<{ outcomes: Outcome<T>[]; status: number }> {
  const one = async (name: string): Promise<Outcome<T>> => {
    try {
      return { name, ...(await action(requireInstance(settings, name, what))) };
    } catch (error) {
      if (names.length === 1 || !(error instanceof TreesError)) throw error;
      const { code, message, hint } = reportError(error);
      reporter.warn(message);
      return { name, error: { code, message, hint } };
    }
  };
  const outcomes = await Promise.all(names.map(one));
  return { outcomes, status: outcomes.some(({ error }) => error !== undefined) ? 1 : 0 };
}

/** A result whose text is the names of those that it was done to, a line each, as podman prints them. */
export function namesResult<T extends object>(
  { outcomes, status }: { outcomes: readonly Outcome<T>[]; status: number },
  dryRun: boolean,
): CommandResult {
  const done = outcomes.filter(({ error }) => error === undefined);
  return {
    status,
    json: { dryRun, instances: outcomes },
    text: done.map(({ name }) => `${name}\n`).join(''),
  };
}
