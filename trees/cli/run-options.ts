import type { RunRequest } from '../run/resolve.js';
import type { ServicesSpec } from '../run/service-spec.js';
import type { Args, Context, OptionSpec } from './command.js';
import { lifecycleOptions, readLabels, readLifecycle, readStartMode, type StartMode } from './run-options/lifecycle.js';
import { logOptions, readLogs } from './run-options/logs.js';
import { mountOptions, readMounts } from './run-options/mounts.js';
import { processOptions, readProcess } from './run-options/process.js';
import { readResources, resourceOptions } from './run-options/resources.js';
import { checkSecurity, loadProfileReader, readSecurity, readUserns, securityOptions } from './run-options/security.js';
import { readServices, serviceOptions } from './run-options/services.js';
import { readSystem, systemOptions } from './run-options/system.js';

/** Options of `run`, one group a file: podman's names and meanings wherever podman has the same thing. */
export const runOptions = {
  ...lifecycleOptions,
  ...processOptions,
  ...mountOptions,
  ...securityOptions,
  ...resourceOptions,
  ...serviceOptions,
  ...systemOptions,
  ...logOptions,
} as const satisfies Record<string, OptionSpec>;

export interface RunOptions {
  readonly name: string | undefined;
  readonly userns: 'auto' | 'host';
  readonly request: RunRequest;
  readonly labels: Readonly<Record<string, string>>;
  readonly start: StartMode;
  /** Nothing was asked for but the app itself. */
  readonly plain: boolean;
}

type RunArgs = Args<typeof runOptions, readonly []>;

/** @throws TreesError `USAGE` */
export async function readRunOptions(
  context: Pick<Context, 'env' | 'cwd' | 'reporter'>,
  args: RunArgs,
  services?: ServicesSpec,
): Promise<RunOptions> {
  const mounts = readMounts(context, args);
  const request: RunRequest = {
    ...readProcess(context, args),
    ...mounts,
    ephemeral: mounts.ephemeral || args.rm === true,
    ...readSecurity(context, args, await loadProfileReader(args)),
    ...readResources(args),
    ...readLifecycle(args),
    ...readServices(services),
    ...readSystem(args),
    ...readLogs(args),
  };
  checkSecurity(request);
  const { rest, ...given } = args;
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  const changing = Object.keys(runOptions).filter((name) => name !== 'tty' && name !== 'interactive');
  return {
    name: args.name,
    userns: readUserns(args),
    request,
    labels: readLabels(args),
    start: readStartMode(args),
    plain: rest.length === 0 && !terminal && changing.every((name) => !(name in given)),
  };
}
