import type { LoadedSettings } from '../config/load.js';
import { TreesError } from '../errors.js';
import type { Context } from './command.js';
import { terminalReporter } from './render/reporter.js';

/** Wires a command's context to this process. */
export function processContext(
  { settings, origins }: LoadedSettings,
  env: Context['env'],
  signal: AbortSignal,
): Context {
  const reporter = terminalReporter({
    output: process.stderr,
    color: settings.color,
    verbosity: settings.verbosity,
  });
  return {
    settings,
    origins,
    reporter,
    signal,
    env,
    cwd: process.cwd(),
    confirm: (question) => (settings.yes ? Promise.resolve(true) : ask(question, signal)),
  };
}

async function ask(question: string, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new TreesError('NOT_CONFIRMED', `cannot ask: ${question}`, {
      hint: 'answer yes beforehand with --yes, or run it on a terminal',
    });
  }
  // Loaded only when something is asked: it costs every command milliseconds otherwise.
  const { createInterface } = await import('node:readline/promises');
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(`${question} [y/N] `, { signal });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    prompt.close();
  }
}
