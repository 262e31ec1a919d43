import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { compilePlan } from '../../trees/run/compile.js';
import type { LogOptions } from '../../trees/run/log.js';
import { createRandom } from '../support/random.js';
import { mountTmpfs } from '../support/tmpfs.js';
import { buildLogsDriver } from './support/logs-driver.js';

const run = promisify(execFile);

/** The launcher's logger under the sanitizers, with shell commands for services. */
describe('the logger', () => {
  const directory = mkdtempSync(join(tmpdir(), 'trees-logs-'));
  let driver = '';
  let count = 0;
  before(async () => {
    driver = await buildLogsDriver(directory);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  function prepare(log: LogOptions = {}, at?: string): { plan: string; logs: string } {
    const logs = at ?? join(directory, `logs-${++count}`);
    const plan = join(directory, `${++count}.plan`);
    const container = { lower: ['/'], upper: { kind: 'ephemeral' }, userns: 'host', net: 'none' } as const;
    writeFileSync(
      plan,
      compilePlan({ ...container, argv: ['true'], env: {}, log: { ...log, directory: logs, instance: 'test' } }),
    );
    return { plan, logs };
  }

  function lines(path: string): string[] {
    const content = path.endsWith('.gz') ? gunzipSync(readFileSync(path)).toString() : readFileSync(path, 'utf8');
    assert.ok(content.endsWith('\n'), `${path} ends within a line`);
    return content.slice(0, -1).split('\n');
  }

  const CRI = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) ([^]*)$/;
  const parts = (line: string): string[] => {
    const match = CRI.exec(line);
    assert.ok(match !== null, `not a line of the format: ${line.slice(0, 200)}`);
    return match.slice(1);
  };
  const texts = (path: string): string[] => lines(path).map((line) => parts(line).slice(1).join(' '));

  it('stores both streams of a service in one file and labels them on the console', async () => {
    const { plan, logs } = prepare();
    const started = new Date().toISOString();
    const { stdout, stderr } = await run(driver, ['--console', plan, 'web=echo one; echo two >&2; echo; printf three']);
    assert.deepEqual(texts(join(logs, 'web.log')).sort(), [
      'stderr F two',
      'stdout F ',
      'stdout F one',
      'stdout P three',
    ]);
    assert.equal(stdout, '[web OUT] one\n[web OUT] \n[web OUT] three\n');
    assert.equal(stderr, '[web ERR] two\n');
    const [first = ''] = lines(join(logs, 'web.log'));
    const [time = ''] = parts(first);
    assert.ok(time >= started && time.slice(0, 23) <= new Date().toISOString(), time);
    assert.equal(statSync(logs).mode & 0o777, 0o700);
  });

  it('neither loses nor tears a line of four writers with 100,000 each', async () => {
    const { plan, logs } = prepare({ maxSize: 0 });
    const script = 'i=0; while [ $i -lt 100000 ]; do echo "$NAME line $i"; i=$((i+1)); done';
    await run(driver, [plan, ...['a', 'b', 'c', 'd'].map((name) => `${name}=NAME=${name}; ${script}`)]);
    for (const name of ['a', 'b', 'c', 'd']) {
      const found = texts(join(logs, `${name}.log`));
      assert.equal(found.length, 100_000);
      assert.ok(found.every((text, i) => text === `stdout F ${name} line ${i}`));
    }
  });

  it('splits long lines into pieces of 16 KiB and keeps every byte', async () => {
    const { plan, logs } = prepare({ maxSize: 0 });
    await run(driver, [
      plan,
      'a=head -c 16384 /dev/zero | tr "\\0" x; echo; head -c 40000 /dev/zero | tr "\\0" y; echo; echo z',
    ]);
    const found = lines(join(logs, 'a.log')).map((line) => parts(line).slice(2));
    assert.deepEqual(
      found.map(([tag, text = '']) => [tag, text.length, text[0]]),
      [
        ['F', 16_384, 'x'],
        ['P', 16_384, 'y'],
        ['P', 16_384, 'y'],
        ['F', 7232, 'y'],
        ['F', 1, 'z'],
      ],
    );
  });

  it('divides any output alike, whether lines are looked at one by one or together', async (t) => {
    const draw = createRandom();
    const random = (bound: number): number => draw.below(bound);
    t.diagnostic(`TREES_TEST_SEED=${draw.seed}`);
    const edges = [0, 1, 15, 16, 17, 39, 40, 41, 16_383, 16_384, 16_385, 32_768, 131_072];
    const pieces = Array.from({ length: 400 }, () => {
      const length = random(4) === 0 ? (edges[random(edges.length)] ?? 0) : random(300);
      return Buffer.from(Uint8Array.from({ length }, () => 11 + random(245)));
    });
    const input = join(directory, 'random');
    const content = Buffer.concat(pieces.flatMap((piece) => [piece, Buffer.from(random(20) === 0 ? '\n\n' : '\n')]));
    writeFileSync(input, content.subarray(0, -1));
    // Whole blocks, and odd ones that end within lines.
    for (const command of [`cat ${input}`, `dd if=${input} bs=${1 + random(5000)} status=none`]) {
      const both = [{}, { rate: 1e12, burst: 1e12 }].map(async (limit) => {
        const { plan, logs } = prepare({ maxSize: 60_000, maxFiles: 999, ...limit });
        await run(driver, [plan, `a=${command}`]);
        const names = readdirSync(logs).sort();
        const current = names.indexOf('a.log');
        const files = [...names.filter((_, i) => i !== current), 'a.log'].map((name) => readFileSync(join(logs, name)));
        assert.ok(files.length > 5 && files.every((file) => file.length <= 60_000 && file.at(-1) === 0x0a));
        return Buffer.concat(files)
          .toString('latin1')
          .replace(/^.{30} stdout /gm, '');
      });
      const [together, oneByOne] = await Promise.all(both);
      assert.ok(together === oneByOne);
      const tagged = (together ?? '').matchAll(/([FP]) ([^\n]*)\n/g);
      const joined = Array.from(tagged, ([, tag, text]) => (tag === 'P' ? text : `${text}\n`)).join('');
      assert.ok(Buffer.from(joined, 'latin1').equals(content.subarray(0, -1)));
    }
  });

  it('passes on bytes that are no text', async () => {
    const { plan, logs } = prepare();
    await run(driver, [plan, "a=printf 'a\\000b\\377c\\r\\n'"]);
    const content = readFileSync(join(logs, 'a.log'));
    assert.ok(content.includes(Buffer.from(' stdout F a\0b\xffc\r\n', 'latin1')));
  });

  it('rotates by size and keeps as many files as it was told to', async () => {
    const { plan, logs } = prepare({ maxSize: 20_000, maxFiles: 3 });
    await run(driver, [plan, 'a=seq 1 10000', 'a.log=seq 1 10']);
    const names = readdirSync(logs).sort();
    assert.equal(names.length, 4, names.join(' '));
    const rotated = names.filter((name) => /^a\.log\.\d{8}-\d{6}\.\d{9}$/.test(name));
    assert.equal(rotated.length, 2);
    const all = [...rotated, 'a.log'].flatMap((name) => {
      assert.ok(statSync(join(logs, name)).size <= 20_000);
      return texts(join(logs, name));
    });
    const first = 10_000 - all.length + 1;
    assert.deepEqual(
      all,
      Array.from({ length: all.length }, (_, i) => `stdout F ${first + i}`),
    );
    assert.ok(all.length > 600);
    assert.equal(texts(join(logs, 'a.log.log')).length, 10);
  });

  it('compresses rotated files', { skip: existsSync('/usr/bin/gzip') ? false : 'gzip is missing' }, async () => {
    const { plan, logs } = prepare({ maxSize: 20_000, maxFiles: 4, compress: true });
    await run(driver, [plan, 'a=seq 1 1500']);
    const settled = (): boolean => readdirSync(logs).every((name) => name === 'a.log' || name.endsWith('.gz'));
    for (let i = 0; i < 200 && !settled(); i++) await sleep(50);
    const names = readdirSync(logs).sort();
    assert.ok(names.filter((name) => name.endsWith('.gz')).length >= 2, names.join(' '));
    const all = [...names.filter((name) => name.endsWith('.gz')), 'a.log'].flatMap((name) => texts(join(logs, name)));
    assert.deepEqual(
      all,
      Array.from({ length: 1500 }, (_, i) => `stdout F ${i + 1}`),
    );
  });

  it('goes on in the file of an earlier start', async () => {
    const { plan, logs } = prepare();
    await run(driver, [plan, 'a=echo 1']);
    await run(driver, [plan, 'a=echo 2']);
    assert.deepEqual(texts(join(logs, 'a.log')), ['stdout F 1', 'stdout F 2']);
  });

  it('drops by the line what is over the rate limit, and says how much', async () => {
    const { plan, logs } = prepare({ rate: 1, burst: 5000, maxSize: 0 });
    await run(driver, [plan, 'a=seq 1000 2999', 'b=echo quiet']);
    const found = texts(join(logs, 'a.log'));
    const kept = found.filter((text) => /^stdout F \d+$/.test(text));
    assert.equal(kept.length, 1000);
    // It is said when one of its two streams ends, whichever that is.
    const notices = found.filter((text) => !kept.includes(text));
    const dropped = notices.map((text) => {
      const [, lines, bytes] =
        /^stderr F trees: dropped (\d+) lines \((\d+) bytes\): over the limit of 1 bytes\/s$/.exec(text) ?? [];
      return [Number(lines), Number(bytes)] as const;
    });
    const sum = (of: readonly number[]): number => of.reduce((total, one) => total + one, 0);
    assert.deepEqual(
      [0, 1].map((i) => sum(dropped.map((pair) => pair[i] ?? 0))),
      [1000, 5000],
      notices.join('\n'),
    );
    assert.deepEqual(texts(join(logs, 'b.log')), ['stdout F quiet']);
  });

  it('says what a full disk cost', {
    skip: process.geteuid?.() === 0 ? false : 'needs root to mount a tmpfs',
  }, async () => {
    await using disk = await mountTmpfs(join(directory, 'disk'), 'size=1m');
    const { plan, logs } = prepare({ maxSize: 0 }, join(disk.path, 'logs'));
    writeFileSync(join(disk.path, 'filler'), Buffer.alloc(700 << 10));
    // Room appears while the service still writes.
    const full = `while [ "$(stat -f -c %f ${disk.path})" -gt 0 ]; do sleep 0.02; done`;
    const script = `seq 100000 120000; ${full}; sleep 0.2; rm ${join(disk.path, 'filler')}; echo after`;
    await run(driver, [plan, `a=${script}`]);
    const found = texts(join(logs, 'a.log'));
    assert.equal(found.at(-1), 'stdout F after');
    const [notice, lost] =
      /^stderr F trees: (\d+) lines \(\d+ bytes\) could not be stored$/.exec(found.at(-2) ?? '') ?? [];
    assert.ok(notice !== undefined, found.slice(-3).join('\n'));
    assert.equal(found.length - 2 + Number(lost), 20_001);
  });

  it('does not wait for a reader that stalls, and tells it what it missed', async () => {
    const { plan, logs } = prepare({ maxSize: 0 });
    const child = spawn(driver, ['--console', plan, 'a=seq 1 200000; echo end'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const file = join(logs, 'a.log');
    const stored = (): boolean => existsSync(file) && readFileSync(file).subarray(-5).includes(' end\n');
    while (!stored()) await sleep(100); // without one byte read: the service did not wait
    let output = '';
    for await (const chunk of child.stdout.setEncoding('utf8')) output += String(chunk);
    assert.equal(texts(file).length, 200_001);
    const shown = output.split('\n').filter((line) => /^\[a OUT\] \d+$/.test(line)).length;
    assert.ok(shown > 0 && shown < 200_000, `${shown} lines shown`);
    const dropped = [...output.matchAll(/^\[trees\] (\d+) lines not shown: the reader was too slow$/gm)];
    const missed = dropped.reduce((sum, [, n]) => sum + Number(n), 0);
    assert.equal(shown + missed + (output.includes('[a OUT] end\n') ? 1 : 0), 200_001);
  });

  it('waits for the reader if it was told to', async () => {
    const { plan } = prepare({ maxSize: 0, mode: 'blocking', store: false });
    const child = spawn(driver, ['--console', plan, 'a=seq 1 400000'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await sleep(300);
    let output = '';
    for await (const chunk of child.stdout.setEncoding('utf8')) output += String(chunk);
    assert.equal(output, Array.from({ length: 400_000 }, (_, i) => `[a OUT] ${i + 1}\n`).join(''));
  });

  it('shows output as it comes without labels', async () => {
    const { plan } = prepare({ prefix: false, store: false });
    const { stdout, stderr } = await run(driver, ['--console', plan, 'a=printf "x\\ny"; printf err >&2']);
    assert.deepEqual({ stdout, stderr }, { stdout: 'x\ny', stderr: 'err' });
  });

  it('notices that nobody reads any more', async () => {
    const { plan } = prepare({ store: false });
    const { stdout } = await run('bash', [
      '-c',
      // More than is kept for a reader that is only slow.
      `set -o pipefail; "$0" --console "$1" 'a=yes | head -1000000' | head -1; echo $?`,
      driver,
      plan,
    ]);
    assert.equal(stdout, '[a OUT] y\n141\n');
  });

  it('ends with the error when the directory cannot be made', async () => {
    const file = join(directory, 'file');
    writeFileSync(file, '');
    const { plan } = prepare({}, join(file, 'logs'));
    await assert.rejects(run(driver, [plan, 'a=true']), (error: Error & { code?: unknown; stderr?: string }) => {
      assert.equal(error.code, 125);
      assert.match(error.stderr ?? '', /cannot make the directory .*file.* for the log: Not a directory/);
      return true;
    });
  });
});
