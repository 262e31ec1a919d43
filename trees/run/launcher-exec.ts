import { usageError } from '../errors.js';
import { execLauncher } from './exec-launcher.js';
import { preserved } from './launcher.js';

export interface ExecCommandOptions {
  readonly detach: boolean;
  readonly tty: boolean;
  /** Keys that leave it running; without any it ends with its caller. */
  readonly detachKeys: string | undefined;
  readonly user: string | undefined;
  /** Absolute. */
  readonly workdir: string | undefined;
  /** Wins over the variables of the main process. */
  readonly env: Readonly<Record<string, string>>;
  readonly privileged: boolean;
  /** Descriptors 3, 4… that the command gets. */
  readonly preserveFds: number;
}

/**
 * Replaces this process by the launcher, which runs a command in an instance and passes on its exit status.
 * @throws TreesError `LAUNCH_FAILED` when the launcher cannot be executed, `USAGE`
 */
export function execCommand(runDir: string, words: readonly string[], options: ExecCommandOptions): never {
  const args = joinArguments(words, options);
  return execLauncher(['--exec', runDir, ...args], { keep: preserved(options.preserveFds) });
}

/**
 * What the launcher is to do, after `--exec DIRECTORY`.
 * @throws TreesError `USAGE`
 */
export function joinArguments(words: readonly string[], options: ExecCommandOptions): string[] {
  const { preserveFds } = options;
  if (!Number.isInteger(preserveFds) || preserveFds < 0 || preserveFds > 1024) {
    throw usageError(`Expected --preserve-fds to be a number from 0 to 1024, got ${preserveFds}`);
  }
  return [
    ...(options.detach ? ['--detach'] : []),
    ...(options.tty ? ['--tty'] : []),
    ...(options.detachKeys === undefined || options.detachKeys === '' ? [] : [`--detach-keys=${options.detachKeys}`]),
    ...(options.user === undefined ? [] : [`--user=${options.user}`]),
    ...(options.workdir === undefined ? [] : [`--workdir=${options.workdir}`]),
    ...Object.entries(options.env).map(([name, value]) => `--env=${name}=${value}`),
    ...(options.privileged ? ['--privileged'] : []),
    ...(preserveFds === 0 ? [] : [`--preserve-fds=${preserveFds}`]),
    '--',
    ...words,
  ];
}
