import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { terminalReporter } from '../../trees/cli/render/reporter.js';

const MB = 1_000_000;

/** A terminal that remembers its line, and a clock that stands still. */
function terminal(isTTY = true) {
  const state = { time: 0, written: '' };
  const reporter = terminalReporter({
    output: { isTTY, columns: 200, write: (text: string) => (state.written += text) },
    color: false,
    verbosity: 'normal',
    now: () => state.time,
  });
  const line = (): string => state.written.split('\u001b[2K').at(-1) ?? '';
  return { state, reporter, line };
}

describe('progress', () => {
  it('shows bytes, rate and what is left', () => {
    const { state, reporter, line } = terminal();
    using task = reporter.task('fetching a', { total: 10 * MB, unit: 'bytes' });
    task.update(0);
    state.time = 1000;
    task.update(2 * MB);
    assert.match(line(), /^fetching a {2}.*20 %.*\/s, 4(\.0)? s left$/);
  });

  it('counts only what arrived in this run towards the rate, and again after a restart', () => {
    const { state, reporter, line } = terminal();
    using task = reporter.task('fetching a', { total: 100 * MB, unit: 'bytes' });
    task.update(90 * MB);
    state.time = 1000;
    task.update(91 * MB);
    assert.match(line(), / 9(\.0)? s left/);
    state.time = 1300;
    task.update(0);
    state.time = 2300;
    task.update(MB);
    assert.match(line(), /1 min 39 s left/);
  });

  it('shows soon that it has become slower', () => {
    const { state, reporter, line } = terminal();
    using task = reporter.task('fetching a', { total: 1000 * MB, unit: 'bytes' });
    for (let second = 0; second <= 60; second += 1) {
      state.time = second * 1000;
      task.update(second * 10 * MB);
    }
    for (let second = 61; second <= 70; second += 1) {
      state.time = second * 1000;
      task.update(600 * MB + (second - 60) * MB);
    }
    assert.match(line(), / 1\.0 MB\/s, 6 min 30 s left$/);
  });

  it('says at once what it is doing after the last byte', () => {
    const { reporter, line } = terminal();
    using task = reporter.task('fetching a', { total: 10, unit: 'bytes' });
    task.update(10);
    task.update(10, 'writing to disk');
    assert.match(line(), /writing to disk$/);
  });

  it('is one line in a log', () => {
    const { state, reporter } = terminal(false);
    using task = reporter.task('fetching a', { total: 10, unit: 'bytes' });
    task.update(5, 'waiting');
    task.done('fetched a');
    assert.match(state.written, /^fetched a \(.*\)\n$/);
  });
});
