import type { Reporter, Task } from '../../reporter.js';
import { printable } from '../errors.js';
import { formatBytes, formatSeconds } from './format.js';

interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface TerminalReporterOptions {
  readonly output: Output;
  readonly color: boolean;
  readonly verbosity: 'quiet' | 'normal' | 'verbose';
  /** Milliseconds; a clock that tests can replace. */
  readonly now?: () => number;
}

const REDRAW_INTERVAL_MS = 100;
const CLEAR_LINE = '\r\u001b[2K';

/**
 * Reports on a terminal (one progress line, redrawn in place) or in a log (one line when a task ends). Warnings are
 * always shown.
 */
export function terminalReporter(options: TerminalReporterOptions): Reporter {
  const { output, verbosity } = options;
  const now = options.now ?? (() => performance.now());
  const live = output.isTTY === true && verbosity !== 'quiet';
  let progress = '';

  const line = (text: string): void => {
    if (progress !== '') output.write(CLEAR_LINE);
    output.write(`${printable(text)}\n`);
    if (progress !== '') output.write(progress);
  };
  const clear = (): void => {
    if (progress !== '') output.write(CLEAR_LINE);
    progress = '';
  };
  const yellow = (text: string): string => (options.color ? `\u001b[33m${text}\u001b[39m` : text);

  const task: Reporter['task'] = (title, taskOptions = {}) => {
    const started = now();
    let lastDraw = -Infinity;
    let ended = false;
    const draw = (text: string): void => {
      if (!live) return;
      clear();
      progress = printable(text).slice(0, Math.max(20, (output.columns ?? 80) - 1));
      output.write(progress);
    };
    draw(title);
    const finish = (summary: string | undefined): void => {
      if (ended) return;
      ended = true;
      clear();
      if (summary !== undefined && verbosity !== 'quiet')
        line(`${summary} (${formatSeconds((now() - started) / 1000)})`);
    };
    const result: Task = {
      update(current, detail) {
        if (ended || now() - lastDraw < REDRAW_INTERVAL_MS) return;
        lastDraw = now();
        draw([title, progressText(current, taskOptions, (now() - started) / 1000), detail].filter(Boolean).join('  '));
      },
      done: (summary) => finish(summary ?? title),
      [Symbol.dispose]: () => finish(undefined),
    };
    return result;
  };

  return {
    warn: (message) => line(`${yellow('warning:')} ${message}`),
    info: (message) => {
      if (verbosity !== 'quiet') line(message);
    },
    debug: (message) => {
      if (verbosity === 'verbose') line(message);
    },
    task,
  };
}

function progressText(current: number, options: { total?: number; unit?: 'bytes' | 'items' }, seconds: number): string {
  const show = options.unit === 'bytes' ? formatBytes : String;
  const percent = options.total ? ` ${Math.floor((100 * current) / options.total)} %` : '';
  const of = options.total ? ` of ${show(options.total)}` : '';
  if (options.unit !== 'bytes' || seconds < 0.5) return `${show(current)}${of}${percent}`;
  const rate = current / seconds;
  const left = options.total && rate > 0 ? `, ${formatSeconds((options.total - current) / rate)} left` : '';
  return `${show(current)}${of}${percent}  ${formatBytes(rate)}/s${left}`;
}
