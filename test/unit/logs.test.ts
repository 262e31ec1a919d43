import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type LogEntry, parseEntry } from '../../trees/run/logs/entry.js';
import { openLogFiles } from '../../trees/run/logs/files.js';
import { followEntries } from '../../trees/run/logs/follow.js';
import { type LogRange, readEntries } from '../../trees/run/logs/merge.js';
import { inChunks, renderJson, renderText } from '../../trees/run/logs/render.js';
import { parseTime } from '../../trees/run/logs/time.js';

const at = (second: number, text: string, stream = 'stdout', tag = 'F'): string =>
  `2026-01-02T03:04:${String(second).padStart(2, '0')}.000000000Z ${stream} ${tag} ${text}\n`;

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe('stored logs', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'trees-logs-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const write = (name: string, ...lines: string[]): void => writeFileSync(join(directory, name), lines.join(''));

  async function read(range: LogRange = {}, services?: readonly string[]): Promise<string[]> {
    const files = await openLogFiles(directory, services);
    try {
      return (await collect(readEntries(files, range))).map(({ service, text }) => `${service}:${text}`);
    } finally {
      for (const { current } of files) await current?.handle.close();
    }
  }

  it('are read with their rotated and compressed files, oldest first', async () => {
    write('web.log', at(5, 'five'));
    write('web.log.20260102-030404.000000001', at(4, 'four'));
    writeFileSync(join(directory, 'web.log.20260102-030403.000000000.gz'), gzipSync(at(3, 'three')));
    // Being compressed: the plain file is the whole one.
    write('web.log.20260102-030402.000000000', at(2, 'two'));
    write('web.log.20260102-030402.000000000.gz', 'half');
    write('web.log.old', at(1, 'not ours'));
    assert.deepEqual(await read(), ['web:two', 'web:three', 'web:four', 'web:five']);
  });

  it('are merged by time, in each service in the order of writing', async () => {
    write('a.log', at(1, '1'), at(3, '3'), at(3, '3 again'), at(2, 'clock went back'), at(6, '6'));
    write('b.log', at(2, '2'), at(5, '5'));
    write('a.log.log', at(4, '4'));
    const expected = ['a:1', 'b:2', 'a:3', 'a:3 again', 'a:clock went back', 'a.log:4', 'b:5', 'a:6'];
    assert.deepEqual(await read(), expected);
    assert.deepEqual(await read({}, ['b']), ['b:2', 'b:5']);
  });

  it('can be cut by time, by stream and to the last lines, whose pieces count once', async () => {
    write('a.log', at(1, '1'), at(2, 'x', 'stdout', 'P'), at(2, 'e', 'stderr'), at(2, 'y'), at(3, '3'));
    assert.deepEqual(await read({ since: '2026-01-02T03:04:02.000000000Z' }), ['a:x', 'a:e', 'a:y', 'a:3']);
    assert.deepEqual(await read({ until: '2026-01-02T03:04:01.999999999Z' }), ['a:1']);
    assert.deepEqual(await read({ stream: 'stderr' }), ['a:e']);
    assert.deepEqual(await read({ tail: 0 }), []);
    assert.deepEqual(await read({ tail: 1 }), ['a:3']);
    assert.deepEqual(await read({ tail: 3 }), ['a:x', 'a:e', 'a:y', 'a:3']);
    assert.deepEqual(await read({ tail: 100 }), ['a:1', 'a:x', 'a:e', 'a:y', 'a:3']);
  });

  it('leave out a line that is being written, or that a power failure has cut', async () => {
    write('a.log', at(1, '1'), 'rubbish\n', '2026-01-02T03:04:02.0000000', at(3, '3').slice(0, -1));
    assert.deepEqual(await read(), ['a:1']);
  });

  it('are followed across rotations and to services that come later', async () => {
    write('a.log', at(1, 'old'), at(2, 'half').slice(0, -3));
    const files = await openLogFiles(directory);
    let running = true;
    const found: string[] = [];
    let arrived: (() => void) | undefined;
    const following = (async () => {
      const options = { signal: new AbortController().signal, isRunning: () => running };
      for await (const { service, text } of followEntries(directory, files, options)) {
        found.push(`${service}:${text}`);
        arrived?.();
      }
    })();
    const until = async (count: number): Promise<void> => {
      while (found.length < count) await new Promise<void>((resolve) => (arrived = resolve));
    };
    appendFileSync(join(directory, 'a.log'), `${at(2, 'half').slice(-3)}${at(3, 'three')}`);
    await until(2);
    // Rotated twice between two looks.
    appendFileSync(join(directory, 'a.log'), at(4, 'four'));
    renameSync(join(directory, 'a.log'), join(directory, 'a.log.20260102-030404.000000000'));
    write('a.log.20260102-030405.000000000', at(5, 'five'));
    write('a.log', at(6, 'six'));
    write('b.log', at(7, 'seven'));
    await until(6);
    running = false;
    appendFileSync(join(directory, 'b.log'), at(8, 'last'));
    await following;
    assert.deepEqual(found.sort(), ['a:five', 'a:four', 'a:half', 'a:six', 'a:three', 'b:last', 'b:seven']);
  });

  it('of an instance that never wrote anything are empty', async () => {
    rmSync(directory, { recursive: true });
    assert.deepEqual(await read(), []);
  });
});

describe('a line of a stored log', () => {
  it('is taken apart', () => {
    const entry = parseEntry('web', '2026-01-02T03:04:05.123456789Z stderr P some  text ');
    assert.deepEqual(entry, {
      service: 'web',
      stream: 'stderr',
      time: '2026-01-02T03:04:05.123456789Z',
      text: 'some  text ',
      partial: true,
    });
    assert.equal(parseEntry('web', '2026-01-02T03:04:05.123456789Z stdout F ')?.text, '');
    for (const line of ['', 'x', '2026-01-02T03:04:05Z stdout F x', '2026-01-02T03:04:05.123456789Z stdin F x']) {
      assert.equal(parseEntry('web', line), undefined, line);
    }
  });
});

describe('shown logs', () => {
  const entries = (...lines: [service: string, line: string][]): AsyncIterable<LogEntry> =>
    (async function* () {
      for (const [service, line] of lines) {
        const entry = parseEntry(service, line.slice(0, -1));
        if (entry !== undefined) yield entry;
      }
    })();
  const text = async (items: AsyncIterable<string>): Promise<string> => (await collect(items)).join('');

  it('join the pieces of a line, and invent no newline', async () => {
    const all = entries(['a', at(1, 'x', 'stdout', 'P')], ['a', at(1, 'y')], ['a', at(2, 'end', 'stdout', 'P')]);
    assert.equal(await text(renderText(all, { labels: false, timestamps: false })), 'xy\nend');
  });

  it('label each line, also one that another interrupts', async () => {
    const all = entries(['a', at(1, 'x', 'stdout', 'P')], ['b', at(1, 'other', 'stderr')], ['a', at(1, 'y')]);
    assert.equal(
      await text(renderText(all, { labels: true, timestamps: false })),
      '[a OUT] x\n[b ERR] other\n[a OUT] y\n',
    );
    const one = entries(['a', at(1, 'x')]);
    assert.equal(
      await text(renderText(one, { labels: true, timestamps: true })),
      '2026-01-02T03:04:01.000000000Z [a OUT] x\n',
    );
  });

  it('are one JSON array, or one document a line', async () => {
    const document = { instance: 'i', service: 'a', stream: 'stdout', time: '2026-01-02T03:04:01.000000000Z' };
    const two = (): AsyncIterable<LogEntry> => entries(['a', at(1, 'x')], ['a', at(1, 'y')]);
    const expected = ['x', 'y'].map((line) => ({ ...document, text: line, partial: false }));
    assert.deepEqual(JSON.parse(await text(renderJson(two(), { instance: 'i', lines: false }))), expected);
    assert.deepEqual(JSON.parse(await text(renderJson(entries(), { instance: 'i', lines: false }))), []);
    const lines = (await text(renderJson(two(), { instance: 'i', lines: true }))).trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line): unknown => JSON.parse(line)),
      expected,
    );
  });

  it('are written in chunks', async () => {
    const pieces = (async function* () {
      for (let i = 0; i < 10; i++) yield 'abc';
    })();
    assert.deepEqual(await collect(inChunks(pieces, 9)), ['abcabcabc', 'abcabcabc', 'abcabcabc', 'abc']);
  });
});

describe('times of logs', () => {
  const now = Date.UTC(2026, 0, 2, 12);
  for (const [given, expected] of [
    ['10m', '2026-01-02T11:50:00.000000000Z'],
    ['1h30m', '2026-01-02T10:30:00.000000000Z'],
    ['1.5h', '2026-01-02T10:30:00.000000000Z'],
    ['2d', '2025-12-31T12:00:00.000000000Z'],
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000000000Z'],
    ['2026-01-02T03:04:05.123456789Z', '2026-01-02T03:04:05.123456789Z'],
    ['2026-01-02T05:04:05.5+02:00', '2026-01-02T03:04:05.500000000Z'],
    ['1767323045', '2026-01-02T03:04:05.000000000Z'],
    ['1767323045.25', '2026-01-02T03:04:05.250000000Z'],
  ] as const) {
    it(`${given} is ${expected}`, () => assert.equal(parseTime(given, '--since', now), expected));
  }
  for (const wrong of ['', 'yesterday', '10', '10x', '2026-13-01T00:00:00Z', '-5m']) {
    it(`"${wrong}" is refused`, () =>
      assert.throws(() => parseTime(wrong, '--since', now), /Expected --since to be a time, got/));
  }
});
