import { loadSettings } from '../config/load.js';
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
  // A reader that goes away (`trees ls | head -1`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  const interrupted = abortOnSignals();
  let request: Request | undefined;
  try {
    request = await readLine(argv);
    process.exitCode = await perform(request, interrupted.signal);
  } catch (error) {
    const report = reportError(error);
    const status = interrupted.status() ?? report.status;
    printError(report, asksForJson(argv, request), argv);
    process.exitCode = status;
  } finally {
    interrupted.release();
  }
}

async function perform(request: Request, signal: AbortSignal): Promise<number> {
  switch (request.kind) {
    case 'version':
      process.stdout.write(`trees ${(await import('./version.js')).version()}\n`);
      return 0;
    case 'help':
      (request.status === 0 ? process.stdout : process.stderr).write(await request.text());
      return request.status;
    case 'run': {
      const loaded = await loadSettings({
        flags: request.line.globals,
        env: process.env,
        cwd: process.cwd(),
        uid: process.geteuid?.() ?? 0,
        tty: process.stderr.isTTY,
      });
      const result = await request.command.run(processContext(loaded, signal), request.line.args);
      printResult(result, loaded.settings.json);
      return result.status ?? 0;
    }
  }
}

function printResult(result: CommandResult, json: boolean): void {
  if (json) process.stdout.write(`${JSON.stringify(result.json, null, 2)}\n`);
  else if (result.text !== '') process.stdout.write(result.text);
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
