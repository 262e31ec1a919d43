import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMMANDS_DIRECTORY, type ExportedCommand } from '../store/exports.js';
import type { Generation } from '../store/generations.js';
import { storePaths } from '../store/paths.js';
import { compilePlan } from './compile.js';
import type { ContainerSpec } from './container.js';
import { prepareContainer } from './prepare.js';
import { plainRequest, type RunRequest } from './resolve.js';
import type { RunSpec } from './spec.js';

export interface CommandPlanOptions {
  /** `settings.root` */
  readonly root: string;
  /** Seconds. */
  readonly lockTimeout: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Compiles the plans of exported commands into a generation. What is there is replaced by renames: whoever starts a command
 * at that moment gets the old plan or the new one.
 * @throws TreesError as `prepareContainer`
 */
export async function compileCommands(
  generation: Generation,
  commands: readonly ExportedCommand[],
  options: CommandPlanOptions,
): Promise<void> {
  const directory = join(storePaths(options.root).generation(generation.name, generation.number), COMMANDS_DIRECTORY);
  for (const command of commands) {
    const plan = compilePlan(await commandContainer(generation, command, options));
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, 0o755);
    const file = join(directory, command.command);
    writeFileSync(`${file}.new`, plan, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}

async function commandContainer(
  generation: Generation,
  { exec, request, userns }: ExportedCommand,
  options: CommandPlanOptions,
): Promise<ContainerSpec> {
  const { name, number } = generation;
  const { container, makeDirectories } = await prepareContainer({
    settings: { ...options, runtimeDir: '/', logDir: '/' },
    generation,
    name,
    data: name,
    request: { ...plainRequest, ephemeral: true, ...storedRequest(request), command: exec },
    userns: userns === 'host' ? 'host' : 'auto',
    detached: false,
    dryRun: false,
    signal: options.signal,
  });
  makeDirectories();
  // Many may run at once, and each is over with its caller: nothing is kept of them, and nobody asks after them.
  return {
    ...container,
    log: undefined,
    supervision: { name, app: name, generation: number, tty: 'auto', stopTimeout: container.stopTimeout },
  };
}

/** What `export-bin` stored; the compiler checks its members. */
function storedRequest(request: unknown): Partial<RunRequest> {
  return typeof request === 'object' && request !== null ? request : {};
}

/** The commands that an app declares. */
export function declaredCommands(spec: RunSpec): { command: string; exec: readonly string[] }[] {
  return Object.entries(spec.commands ?? {}).map(([command, exec]) => ({ command, exec }));
}
