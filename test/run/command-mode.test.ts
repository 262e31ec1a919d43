import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench } from './support/container.js';
import { launch } from './support/instance.js';
import { onTerminal } from './support/terminal.js';

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());

/** A file of one line whose interpreter is the launcher. */
function exported(argv: readonly string[], change: Parameters<typeof box.spec>[0] = {}): string {
  const file = join(box.directory, `command-${argv.length}-${Math.random().toString(36).slice(2)}`);
  const plan = box.planFile(box.spec({ argv, ...change }));
  writeFileSync(file, `#!${launcherPath()} --command=${plan}\n`, { mode: 0o755 });
  return file;
}

test('arguments are added to the plan’s command, as they are', { skip }, () => {
  const file = exported(['printf', '[%s]', 'own']);
  const { status, stdout, stderr } = spawnSync(file, ['two words', '', '--tty', '$x'], { encoding: 'utf8' });
  assert.deepEqual([status, stdout, stderr], [0, '[own][two words][][--tty][$x]', '']);
});

test('streams, exit status and signals are the command’s own', { skip }, () => {
  const cat = spawnSync(exported(['cat']), [], { input: 'through\n', encoding: 'utf8' });
  assert.deepEqual([cat.status, cat.stdout], [0, 'through\n']);
  assert.equal(spawnSync(exported(['sh', '-c', 'exit 42'])).status, 42);
  assert.equal(spawnSync(exported(['sh', '-c', 'kill -SEGV $$'])).status, 139);
  assert.equal(spawnSync(exported(['/no/such'])).status, 127);
});

test('many at once', { skip }, async () => {
  const file = exported(['echo']);
  const { spawn } = await import('node:child_process');
  const outputs = await Promise.all(
    Array.from(
      { length: 20 },
      (_, index) =>
        new Promise<string>((resolve) => {
          const child = spawn(file, [String(index)], { stdio: ['ignore', 'pipe', 'inherit'] });
          let text = '';
          child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
          child.once('close', () => resolve(text));
        }),
    ),
  );
  assert.deepEqual(
    outputs,
    Array.from({ length: 20 }, (_, index) => `${index}\n`),
  );
});

test('a terminal of its own where it was started on one', {
  skip: skip || (has('script') ? false : 'needs script (package bsdutils)'),
}, async () => {
  const file = exported(['sh', '-c', 'tty; test -t 1 && stty size'], {
    supervision: { name: '', app: 'app', generation: 1, tty: 'auto' },
  });
  const terminal = onTerminal(file);
  assert.equal(await terminal.done, 0);
  assert.equal(terminal.output(), '/dev/pts/0\r\n40 111\r\n');
  const piped = spawnSync(file, { input: '', encoding: 'utf8' });
  assert.equal(piped.stdout, 'not a tty\n');
});

test('a plan that has gone, or no script: 125', { skip }, () => {
  const file = join(box.directory, 'stale');
  writeFileSync(file, `#!${launcherPath()} --command=/no/such.plan\n`, { mode: 0o755 });
  const { status, stderr } = spawnSync(file, { encoding: 'utf8' });
  assert.equal(status, 125);
  assert.match(stderr, /cannot open the launch plan \/no\/such\.plan: No such file/);
  assert.equal(launch(['--command=/no/such.plan']).status, 125);
});
