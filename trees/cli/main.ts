import { loadSettings } from '../config/load.js';
import { reasonOf, TreesError, usageError } from '../errors.js';
import type { CommandResult } from './command.js';
import { processContext } from './context.js';
import { type ErrorReport, reportError } from './errors.js';
import { type Request, readLine } from './line.js';

const SIGNAL_NUMBER = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/**
 * Runs one command line and sets the process's exit status.
 * @param argv words after `trees`
 */
export async function main(argv: readonly string[]): Promise<void> {
  process.stdout.on('error', outputFailed);
  // Nobody is left to be told.
  process.stderr.on('error', () => undefined);
  const interrupted = abortOnSignals();
  let request: Request | undefined;
  try {
    request = await readLine(argv);
    const status = await perform(argv, request, { json: asksForJson(argv, request), signal: interrupted.signal });
    process.exitCode ??= status;
  } catch (error) {
    const report = reportError(error);
    const status = interrupted.status() ?? report.status;
    printError(report, asksForJson(argv, request), argv);
    process.exitCode = status;
  } finally {
    interrupted.release();
  }
}

async function perform(
  argv: readonly string[],
  request: Request,
  { json, signal }: { readonly json: boolean; readonly signal: AbortSignal },
): Promise<number> {
  switch (request.kind) {
    case 'version': {
      const version = (await import('./version.js')).version();
      await printResult({ json: { version }, text: `trees ${version}\n` }, json);
      return 0;
    }
    case 'help': {
      const text = await request.text();
      if (request.status === 0) await printResult({ json: { help: text }, text }, json);
      else if (json) throw usageError('Expected a command, got none', 'trees --help lists all commands');
      else process.stderr.write(text);
      return request.status;
    }
    case 'run': {
      const { command, line } = request;
      const env = command.keepsLaunch
        ? (await import('../run/kept/keep.js')).recordLaunch({ words: argv, root: line.globals['root'] }, process.env)
        : process.env;
      const loaded = await loadSettings({
        flags: line.globals,
        env,
        cwd: workingDirectory(),
        uid: process.geteuid?.() ?? 0,
        tty: process.stderr.isTTY,
      });
      const result = await command.run(processContext(loaded, env, signal), line.args);
      await printResult(result, loaded.settings.json);
      return result.status ?? 0;
    }
  }
}

/** A reader that goes away (`trees ls | head -1`) is no error; a full disk is. */
function outputFailed(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') return;
  process.stderr.write(`error: cannot write to standard output: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}

/** @throws TreesError SYSTEM_ERROR if the shell's directory was deleted, as every relative path would be wrong */
function workingDirectory(): string {
  try {
    return process.cwd();
  } catch (error) {
    throw new TreesError('SYSTEM_ERROR', 'cannot start: the working directory was deleted', {
      hint: 'change to a directory that is there: cd /',
      cause: error,
    });
  }
}

async function printResult(result: CommandResult, json: boolean): Promise<void> {
  if (result.stream !== undefined) await printStream(result.stream);
  else if (json) process.stdout.write(`${JSON.stringify(result.json, null, 2)}\n`);
  else if (result.text !== '') process.stdout.write(result.text);
}

/** Keeps pace with the reader, and ends with it. */
async function printStream(stream: AsyncIterable<string | Uint8Array>): Promise<void> {
  const { stdout } = process;
  for await (const chunk of stream) {
    if (stdout.destroyed || stdout.errored) return;
    if (stdout.write(chunk)) continue;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        for (const event of ['drain', 'error', 'close']) stdout.off(event, done);
        resolve();
      };
      for (const event of ['drain', 'error', 'close']) stdout.once(event, done);
    });
  }
}

function printError(report: ErrorReport, json: boolean, argv: readonly string[]): void {
  process.stderr.write(`error: ${report.message}\n`);
  if (report.hint !== undefined) process.stderr.write(`hint: ${report.hint}\n`);
  const verbose = argv.includes('-v') || argv.includes('--verbose');
  if (report.stack !== undefined && verbose) process.stderr.write(`${report.stack}\n`);
  if (json) {
    const { code, message, hint, details } = report;
    process.stdout.write(`${JSON.stringify({ error: { code, message, hint, details } }, null, 2)}\n`);
  }
}

/** Whether errors go to stdout as JSON too; also when the line itself could not be parsed. */
function asksForJson(argv: readonly string[], request: Request | undefined): boolean {
  if (request?.kind === 'run') return request.line.globals['json'] === true;
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
}

/**
 * The first signal aborts the work in an orderly way; a second one ends the process at once.
 */
function abortOnSignals(): { signal: AbortSignal; status(): number | undefined; release(): void } {
  const controller = new AbortController();
  let status: number | undefined;
  const handlers = Object.entries(SIGNAL_NUMBER).map(([name, number]) => {
    const handler = (): void => {
      if (status !== undefined) process.exit(128 + number);
      status = 128 + number;
      controller.abort();
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  return {
    signal: controller.signal,
    status: () => status,
    release: () => {
      for (const [name, handler] of handlers) process.off(name, handler);
    },
  };
}
