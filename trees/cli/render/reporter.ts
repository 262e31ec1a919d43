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
    const measure = measureProgress(taskOptions, now);
    let lastDraw = -Infinity;
    let lastDetail: string | undefined;
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
        const text = measure(current);
        // What it is doing now is said at once; numbers only as often as one can read them.
        if (ended || (detail === lastDetail && now() - lastDraw < REDRAW_INTERVAL_MS)) return;
        lastDraw = now();
        lastDetail = detail;
        draw([title, text, detail].filter(Boolean).join('  '));
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

/** Seconds that the rate is an average of: a stall shows soon, a hiccup does not. */
const RATE_WINDOW = 5;

/**
 * Turns absolute progress into text: how much, and for bytes the rate and what is left. The rate counts what arrived
 * since the first call: a resumed download does not look faster than it is.
 */
function measureProgress(
  { total, unit }: { total?: number; unit?: 'bytes' | 'items' },
  now: () => number,
): (current: number) => string {
  const show = unit === 'bytes' ? formatBytes : String;
  let samples: { readonly at: number; readonly value: number }[] = [];
  return (current) => {
    const at = now() / 1000;
    const last = samples.at(-1);
    // Going back means starting again.
    if (last !== undefined && current < last.value) samples = [];
    if (samples.length < 2 || last === undefined || at - last.at > 0.2) samples.push({ at, value: current });
    while (samples.length > 2 && at - (samples[1]?.at ?? at) > RATE_WINDOW) samples.shift();
    const percent = total ? ` ${Math.floor((100 * current) / total)} %` : '';
    const amount = `${show(current)}${total ? ` of ${show(total)}` : ''}${percent}`;
    const [first] = samples;
    const seconds = first === undefined ? 0 : at - first.at;
    if (unit !== 'bytes' || seconds < 0.5 || first === undefined) return amount;
    const rate = (current - first.value) / seconds;
    const left = total && rate > 0 && current < total ? `, ${formatSeconds((total - current) / rate)} left` : '';
    return `${amount}  ${formatBytes(rate)}/s${left}`;
  };
}
