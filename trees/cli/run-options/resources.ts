import { usageError } from '../../errors.js';
import type { RlimitSpec } from '../../run/container.js';
import type { RunRequest } from '../../run/resolve.js';
import { rlimitNames } from '../../run/rlimits.js';
import type { Args, OptionSpec } from '../command.js';

/** How much the container may use. */
export const resourceOptions = {
  ulimit: { type: 'array', value: 'NAME=SOFT[:HARD]', describe: 'resource limit, e.g. nofile=1024:4096' },
} as const satisfies Record<string, OptionSpec>;

type ResourceArgs = Args<typeof resourceOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readResources(args: ResourceArgs): Pick<RunRequest, 'rlimits' | 'resources'> {
  return { rlimits: (args.ulimit ?? []).map(parseUlimit) };
}

function parseUlimit(text: string): RlimitSpec {
  const [, name, soft, hard = soft] = /^([a-z]+)=(-1|\d+|unlimited)(?::(-1|\d+|unlimited))?$/.exec(text) ?? [];
  if (name === undefined || soft === undefined || hard === undefined || !rlimitNames.some((known) => known === name)) {
    throw usageError(
      `Expected --ulimit to be NAME=SOFT[:HARD], got "${text}"`,
      `names are ${rlimitNames.join(', ')}; -1 is unlimited`,
    );
  }
  const limit = { name, soft: limitValue(soft), hard: limitValue(hard) };
  if (limit.soft > limit.hard) throw usageError(`Expected the soft limit to be at most the hard one, got "${text}"`);
  return limit;
}

function limitValue(text: string): number {
  return text === '-1' || text === 'unlimited' ? Infinity : Number(text);
}
