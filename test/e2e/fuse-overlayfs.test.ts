import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { at } from '../support/json.js';
import { layOutApp } from '../support/laid-out-app.js';
import { projectRoot, type RunResult, runProgram } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';
import { missingForRefusal, type WithoutOverlay, withoutOverlay } from '../support/without-overlay.js';

/** A user whose store is on a file system on which the kernel refuses overlays. */

const USER = 61_238;
const skip = missingForContainers() || missingForRefusal();
let directory: string;
let machine: WithoutOverlay;

before(async () => {
  if (skip !== false) return;
  directory = mkdtempSync(join(tmpdir(), 'trees-fuse-'));
  chmodSync(directory, 0o755);
  machine = await withoutOverlay(directory, USER);
  // The user need not be able to reach the checkout.
  const project = join(directory, 'project');
  mkdirSync(project);
  const [enter = '', ...words] = machine.asRoot;
  assert.equal(spawnSync(enter, [...words, 'mount', '--bind', projectRoot, project]).status, 0);
  const store = join(machine.backing, 'var/lib/trees');
  mkdirSync(store, { recursive: true });
  layOutApp(store, 'tool', { exec: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done'] });
  mkdirSync(join(directory, 'home'));
  spawnSync('chown', ['-R', `${USER}:${USER}`, machine.backing, join(directory, 'home')]);
});

after(async () => {
  if (skip !== false) return;
  await trees('kill', '--all');
  await machine[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function trees(...args: string[]): Promise<RunResult> {
  const [enter = '', ...words] = machine.wrapper;
  const cli = [process.execPath, join(directory, 'project/dist/cli/bin.js')];
  return await runProgram(enter, [...words, ...cli, ...args], {
    cwd: '/',
    env: {
      HOME: join(directory, 'home'),
      TREES_ROOT: machine.place,
      XDG_CONFIG_HOME: undefined,
      XDG_DATA_HOME: undefined,
      XDG_CACHE_HOME: undefined,
      XDG_RUNTIME_DIR: undefined,
      NO_COLOR: '1',
    },
  });
}

async function ok(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await trees(...args);
  assert.equal(status, 0, `${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function json(...args: string[]): Promise<unknown> {
  return JSON.parse(await ok(...args, '--json'));
}

test('run: a notice says why it is slower, --quiet does not', { skip }, async () => {
  const first = await trees(
    'run',
    'tool',
    '--',
    'sh',
    '-c',
    'echo kept > /kept; rm /etc/marker; rm -r /home; mkdir /home',
  );
  assert.equal(first.status, 0, first.stderr);
  assert.match(
    first.stderr,
    /^the tree is shown by fuse-overlayfs, which is slower: the kernel refuses an overlay on \S+\/data\/tool\/overlay: Invalid argument\n$/,
  );
  const quiet = await trees(
    '-q',
    'run',
    'tool',
    '--',
    'sh',
    '-c',
    'cat /kept; ls /home; [ -e /etc/marker ] || echo gone',
  );
  assert.deepEqual([quiet.status, quiet.stdout, quiet.stderr], [0, 'kept\ngone\n', '']);
  assert.equal(await ok('diff', '--instance', 'tool'), 'C /etc/\nD /etc/marker\nC /home/\nD /home/app\nA /kept\n');
  assert.equal(at(await json('inspect', 'tool'), 'overlay'), 'fuse-overlayfs');
  const times = await trees('run', '--explain-time', 'tool', '--', 'true');
  assert.match(times.stderr, /start fuse-overlayfs/);
});

test('check says that it will be used', { skip }, async () => {
  const { stdout } = await trees('check', '--json');
  const document: unknown = JSON.parse(stdout);
  const checks = at(document, 'checks');
  assert.ok(Array.isArray(checks));
  const overlay: unknown = checks.find((check: unknown) => at(check, 'id') === 'overlay');
  assert.equal(at(overlay, 'status'), 'warn');
  assert.match(String(at(overlay, 'why')), /fuse-overlayfs is used, which is slower/);
});

test('detached: exec, inspect, stop, start again', { skip }, async () => {
  await ok('run', '-d', '--name', 'web', 'tool');
  assert.equal(await ok('exec', 'web', '--', 'sh', '-c', 'echo in > /in; cat /in /etc/marker'), 'in\noriginal\n');
  assert.equal(at(await json('inspect', 'web'), 'overlay'), 'fuse-overlayfs');
  assert.match(await ok('inspect', '--security', 'web'), /^root +persistent, by fuse-overlayfs$/m);
  const strict = await trees('inspect', '--security', '--policy', 'strict', 'web');
  assert.equal(strict.status, 1);
  assert.match(strict.stdout, /^finding +overlay: a process of the host’s works for it: fuse-overlayfs$/m);
  const copied = await trees('cp', 'web:/in', join(directory, 'home/in'));
  assert.notEqual(copied.status, 0);
  assert.match(
    copied.stderr,
    /^error: cannot copy: web runs, on a tree by fuse-overlayfs\nhint: .*trees exec web -- tar/,
  );
  const committed = await trees('commit', 'web');
  assert.notEqual(committed.status, 0);
  assert.match(
    committed.stderr,
    /^error: cannot commit web: it runs, on a tree by fuse-overlayfs\nhint: .*trees stop web/,
  );
  await ok('restart', 'web');
  assert.equal(await ok('exec', 'web', '--', 'cat', '/in'), 'in\n');
  await ok('stop', 'web');
  await ok('start', 'web');
  assert.equal(await ok('exec', 'web', '--', 'cat', '/in'), 'in\n');
  await ok('stop', 'web');
});

test('copies to and from what does not run, and reset', { skip }, async () => {
  await ok(
    'run',
    '--name',
    'still',
    'tool',
    '--',
    'sh',
    '-c',
    'rm /etc/marker; rm -r /home; rm /etc/group; echo y > /y',
  );
  const local = join(directory, 'home/file');
  writeFileSync(local, 'copied\n');
  chmodSync(local, 0o644);
  const inside = (script: string) => ok('-q', 'run', '--name', 'still', 'tool', '--', 'sh', '-c', script);
  const out = join(directory, 'home/out');
  await ok('cp', 'still:/y', out);
  assert.equal(readFileSync(out, 'utf8'), 'y\n');
  const removed = await trees('cp', 'still:/etc/marker', out);
  assert.notEqual(removed.status, 0);
  await ok('cp', local, 'still:/etc/marker');
  mkdirSync(join(directory, 'home/dir'));
  writeFileSync(join(directory, 'home/dir/new'), 'n\n');
  await ok('cp', join(directory, 'home/dir'), 'still:/home');
  assert.equal(
    await inside('cat /etc/marker; ls /home; ls /etc'),
    'copied\nnew\nhostname\nhosts\nmarker\nnotexec\npasswd\n',
  );
  const refused = await trees('cp', local, 'still:/.wh.y');
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /for fuse-overlayfs such names mark removals/);
  await ok('reset', '-y', 'still');
  assert.equal(await inside('cat /etc/marker; ls /home'), 'original\napp\n');
});
