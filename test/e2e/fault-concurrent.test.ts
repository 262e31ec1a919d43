import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Reporter, silentReporter } from '../../trees/reporter.js';
import { readInstalled } from '../../trees/store/generations.js';
import { checkStore } from '../../trees/store/repair.js';
import { trees, treesCommand } from '../support/cli.js';
import { fastDirectory } from '../support/delta-fixture.js';
import { createRandom } from '../support/random.js';
import type { RunResult } from '../support/rig.js';
import { assertSound, createStoreFixture, currentTree, type StoreFixture } from '../support/store-fixture.js';

const APPS = ['one', 'two', 'three'] as const;
const ROUNDS = 6;
const AT_ONCE = 5;

const random = createRandom();

type Command = readonly [string, ...string[]];

function anyCommand(): Command {
  const app = random.pick(APPS);
  return random.pick<Command>([
    ['install', app],
    ['install', `${app}@1`],
    ['install', app, '-f'],
    ['update'],
    ['update', app],
    ['gc', '--keep', '0'],
    ['rm', app],
    ['rollback', app],
    ['fsck', '--repair'],
    ['fsck'],
    ['ls', '--size'],
  ]);
}

/** What a command may say when another one of the mix was quicker. */
const OVERTAKEN = /APP_NOT_INSTALLED|VERSION_NOT_FOUND|GENERATION_NOT_FOUND/;

async function publish(fixture: StoreFixture): Promise<void> {
  const { publisher } = fixture;
  const files = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`usr/lib/f${i}`, `content ${i}\n`]));
  const base = await publisher.base('deb', '12.0.0', files);
  const edges: Array<readonly [string | null, string]> = [[null, base]];
  for (const app of APPS) {
    for (const version of ['1.0.0', '2.0.0']) {
      const on = { base: 'deb', tested: '12.0.0' };
      edges.push([base, await publisher.layer(app, version, { [`opt/${app}`]: `${app} ${version}\n` }, on)]);
    }
  }
  await fixture.publish(edges);
}

describe(`many at once (TREES_TEST_SEED=${random.seed})`, { timeout: 900_000 }, () => {
  it('never corrupt the store, wait for ever, or undo each other', async (t) => {
    await using fixture = await createStoreFixture(fastDirectory());
    await publish(fixture);
    for (const app of APPS) await fixture.install(`${app}@1`);
    mkdirSync(join(fixture.paths.data, 'one'));
    writeFileSync(join(fixture.paths.data, 'one/precious'), 'mine\n');
    const outcomes = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round += 1) {
      // One app is left to itself but for installing it: it must be there afterwards, whatever the others do.
      const kept = random.pick(APPS);
      const others = Array.from({ length: AT_ONCE - 1 }, anyCommand).filter(
        ([name, app]) => !(['rm', 'rollback'].includes(name) && app === kept) && app !== `${kept}@1`,
      );
      const commands: Command[] = [['install', kept], ...others];
      const results = await Promise.all(
        commands.map(async (command) => await trees(fixture.root, [...command, '--json'])),
      );
      for (const [index, result] of results.entries()) {
        const command = commands[index] ?? ['?'];
        judge(command, result);
        const key = `${command[0]} ${result.status}`;
        outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
      }
      await assertSound(fixture.paths);
      const { damage } = await checkStore({ ...fixture.options('fsck'), names: undefined, repair: false });
      assert.deepEqual(damage, []);
      assert.equal(currentTree(fixture.paths, kept).tree[`opt/${kept}`], `${kept} 2.0.0\n`);
      assert.equal(readFileSync(join(fixture.paths.data, 'one/precious'), 'utf8'), 'mine\n');
    }
    // Afterwards nothing is left but what the apps that are there need.
    const collected = await trees(fixture.root, ['gc', '--keep', '0']);
    assert.equal(collected.status, 0, collected.stderr);
    assert.deepEqual(readdirSync(fixture.paths.downloads), []);
    const { length } = APPS.filter((app) => readInstalled(fixture.paths, app) !== undefined);
    t.diagnostic(`${ROUNDS} rounds, ${length} apps left: ${JSON.stringify(Object.fromEntries(outcomes))}`);
  });

  it('may discard a generation while others look at it', async () => {
    await using fixture = await createStoreFixture(fastDirectory());
    await publish(fixture);
    for (const version of [1, 2]) await fixture.install(`one@${version}`);
    const check = async (discarded: number) => {
      const reporter: Reporter = {
        ...silentReporter,
        task: (name, options) => {
          // They are listed, and not yet compared.
          if (name === 'checking objects') rmSync(fixture.paths.generation('one', discarded), { recursive: true });
          return silentReporter.task(name, options);
        },
      };
      const options = { ...fixture.options('fsck', { reporter }), names: undefined, repair: false };
      return (await checkStore(options)).damage;
    };
    assert.deepEqual(await check(1), []);
    // `install --force` makes another one current first; so this is none of its doing.
    assert.deepEqual(await check(2), []);
    const { damage } = await checkStore({ ...fixture.options('fsck'), names: undefined, repair: false });
    assert.deepEqual(damage, [{ kind: 'current', name: 'one', generation: 2 }]);
  });

  it('show who holds the lock that they wait for, and take it when that one is killed', async () => {
    await using fixture = await createStoreFixture(fastDirectory());
    await publish(fixture);
    await fixture.install('one@1');
    const script = fileURLToPath(new URL('../support/hold-lock.ts', import.meta.url));
    const lock = join(fixture.paths.locks, 'store.lock');
    const holder = spawn(process.execPath, ['--import', 'tsx', script, lock, 'exclusive'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(holder, 'close');
    assert.ok(holder.stdout !== null);
    await once(holder.stdout, 'data');
    const env = { TREES_LOCK_TIMEOUT: '1' };
    for (const command of [['install', 'two'], ['update'], ['gc'], ['rm', 'one'], ['fsck', '--repair']]) {
      const result = await trees(fixture.root, [...command, '--json'], [], { env });
      assert.equal(result.status, 1, command.join(' '));
      assert.match(result.stdout + result.stderr, /LOCKED/, command.join(' '));
      assert.match(result.stdout + result.stderr, new RegExp(`process ${holder.pid} \\(hold it\\)`), command.join(' '));
    }
    const [program, ...args] = treesCommand(fixture.root, ['install', 'two']);
    const waiting = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const done = once(waiting, 'close');
    let said = '';
    assert.ok(waiting.stderr !== null);
    waiting.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
      if (/waiting for the store .* held by process \d+ \(hold it\)/.test(said)) holder.kill('SIGKILL');
    });
    await Promise.race([ended, done]);
    assert.equal(holder.signalCode, 'SIGKILL', said);
    await done;
    assert.equal(waiting.exitCode, 0, said);
    await assertSound(fixture.paths);
  });
});

function judge(command: Command, { status, signal, stdout, stderr }: RunResult): void {
  const what = `${command.join(' ')}: ${signal ?? status} ${stdout}${stderr}`;
  assert.equal(signal, null, what);
  assert.ok(status === 0 || (status === 1 && OVERTAKEN.test(stdout + stderr)), what);
  assert.doesNotMatch(stdout + stderr, /INTERNAL|LOCKED|CORRUPT/, what);
}
