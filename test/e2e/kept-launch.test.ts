import assert from 'node:assert/strict';
import {
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createKeptRig, type KeptRig, type Started, type StartPlace } from '../support/kept-rig.js';
import { layOutApp } from '../support/laid-out-app.js';
import { missingForContainers } from '../support/rootfs.js';

/*
 * What a line of `trees run` came to is kept. Whatever it rests on is changed here, one thing at a time: the next start has to
 * take the long way, and show the change.
 */

const skip = missingForContainers();
let rig: KeptRig;
before(() => {
  if (skip === false) rig = createKeptRig();
});
after(() => rig?.[Symbol.dispose]());

interface Change {
  readonly what: string;
  /** Lays out what the line needs. */
  readonly given?: () => void;
  readonly words: () => string[];
  readonly place?: () => StartPlace;
  /** What the line says before. */
  readonly says: string | RegExp;
  readonly change: () => void;
  readonly changed?: () => StartPlace;
  /** What it says then; a number: the status that it fails with. */
  readonly saysThen: string | RegExp | number;
}

const say = (text: string): string[] => ['sh', '-c', text];
const config = (): string => rig.path('home/.config/trees/trees.yaml');
const data = (...parts: string[]): string => join(rig.store, 'data/tool', ...parts);
const filter = (syscall: string): string =>
  JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: [syscall], action: 'SCMP_ACT_ERRNO' }] });

const changes: readonly Change[] = [
  {
    what: 'a variable that is passed on',
    words: () => ['-e', 'PASSED', 'tool', '--', ...say('echo $PASSED')],
    place: () => ({ env: { PASSED: 'old' } }),
    says: 'old\n',
    change: () => undefined,
    changed: () => ({ env: { PASSED: 'new' } }),
    saysThen: 'new\n',
  },
  {
    what: 'a variable that is not passed on any more',
    words: () => ['-e', 'PASSED', 'tool', '--', ...say('echo ${PASSED-none}')],
    place: () => ({ env: { PASSED: '' } }),
    says: '\n',
    change: () => undefined,
    saysThen: 'none\n',
  },
  {
    what: 'a file of variables',
    given: () => writeFileSync(rig.path('work/vars'), 'A=old\n'),
    words: () => ['--env-file', 'vars', 'tool', '--', ...say('echo $A')],
    says: 'old\n',
    // As long as before, and with its time put back: only the inode's own time tells.
    change: () => {
      writeFileSync(rig.path('work/vars'), 'A=new\n');
      utimesSync(rig.path('work/vars'), 1, 1);
    },
    saysThen: 'new\n',
  },
  {
    what: 'the project’s settings',
    words: () => ['tool', '--', ...say('echo well')],
    says: 'well\n',
    change: () => writeFileSync(rig.path('work/trees.yaml'), 'color: [\n'),
    saysThen: 1,
  },
  {
    what: 'the user’s settings, which were empty',
    given: () => {
      rmSync(rig.path('work/trees.yaml'), { force: true });
      mkdirSync(join(config(), '..'), { recursive: true });
      writeFileSync(config(), '{}\n');
    },
    words: () => ['tool', '--', ...say('echo better')],
    says: 'better\n',
    change: () => writeFileSync(config(), 'lockTimeout: -1\n'),
    saysThen: 1,
  },
  {
    what: 'a setting by a variable',
    given: () => rmSync(config(), { force: true }),
    words: () => ['tool', '--', ...say('echo best')],
    says: 'best\n',
    change: () => undefined,
    changed: () => ({ env: { TREES_LOCK_TIMEOUT: 'soon' } }),
    saysThen: 1,
  },
  {
    what: 'where the store is',
    words: () => ['tool', '--', ...say('echo here')],
    says: 'here\n',
    change: () => undefined,
    changed: () => ({ env: { TREES_ROOT: rig.path('elsewhere') } }),
    saysThen: 125,
  },
  {
    what: 'the working directory',
    given: () => {
      for (const name of ['work', 'other']) {
        mkdirSync(rig.path(name, 'given'), { recursive: true });
        writeFileSync(rig.path(name, 'given/name'), `${name}\n`);
      }
    },
    words: () => ['-v', './given:/given:ro', 'tool', '--', ...say('cat /given/name')],
    says: 'work\n',
    change: () => undefined,
    changed: () => ({ cwd: rig.path('other') }),
    saysThen: 'other\n',
  },
  {
    what: 'the source of a mount',
    words: () => ['-v', `${rig.path('other/given')}:/given:ro`, 'tool', '--', ...say('cat /given/name')],
    says: 'other\n',
    change: () => rmSync(rig.path('other/given'), { recursive: true }),
    saysThen: 125,
  },
  {
    what: 'a file of services',
    given: () => writeFileSync(rig.path('work/stack.json'), '{"main":{"exec":["echo","old"],"main":true}}'),
    words: () => ['--services', 'stack.json', '--no-prefix', 'tool'],
    says: 'old\n',
    change: () => writeFileSync(rig.path('work/stack.json'), '{"main":{"exec":["echo","new"],"main":true}}'),
    saysThen: 'new\n',
  },
  {
    what: 'a profile of system calls',
    given: () => writeFileSync(rig.path('work/profile.json'), filter('chroot')),
    words: () => [
      '--security-opt',
      'seccomp=profile.json',
      '--ephemeral',
      'tool',
      '--',
      ...say('mkdir /made 2>/dev/null && echo made || echo refused'),
    ],
    says: 'made\n',
    change: () => writeFileSync(rig.path('work/profile.json'), filter('mkdir')),
    saysThen: 'refused\n',
  },
  {
    what: 'what the instance wrote is reset',
    words: () => ['tool', '--', ...say('test -e /kept && cat /kept || echo none; echo written > /kept')],
    says: 'written\n',
    change: () => assert.equal(rig.trees(['reset', 'tool']).status, 0),
    saysThen: 'none\n',
  },
  {
    what: 'a volume is gone',
    words: () => ['-v', 'things:/things', 'tool', '--', ...say('ls /things; touch /things/one')],
    says: 'one\n',
    change: () => rmSync(data('volumes/things'), { recursive: true }),
    saysThen: '',
  },
  {
    what: 'its range of ids',
    words: () => ['tool', '--', ...say('cat /proc/self/uid_map')],
    says: /\d+\n/,
    change: () => {
      const { start } = ids();
      writeFileSync(data('ids.json'), JSON.stringify({ start: start + 65_536, count: 65_536 }));
      // Its files are those of the other range.
      rmSync(data('overlay'), { recursive: true });
    },
    saysThen: /\d+\n/,
  },
  {
    what: 'the app’s record',
    words: () => ['tool'],
    says: 'first\n',
    change: () => {
      const file = join(rig.store, 'apps/tool/1/generation.json');
      const record = readFileSync(file, 'utf8');
      writeFileSync(file, record.replace('first', 'again'));
    },
    saysThen: 'again\n',
  },
  {
    what: 'the app’s generation',
    words: () => ['tool'],
    says: 'again\n',
    change: () => {
      layOutApp(rig.store, 'tool', { exec: ['echo', 'second'] }, 2);
      replaceLink('2');
    },
    saysThen: 'second\n',
  },
  {
    what: 'back to an older generation',
    words: () => ['tool'],
    says: 'second\n',
    change: () => replaceLink('1'),
    saysThen: 'again\n',
  },
  {
    what: 'the program',
    words: () => ['tool'],
    says: 'again\n',
    change: () => utimesSync(rig.bin, new Date(), new Date()),
    saysThen: 'again\n',
  },
  {
    what: 'the launcher',
    words: () => ['tool'],
    says: 'again\n',
    change: () => utimesSync(join(rig.installation, 'build/Release/trees-launch'), new Date(), new Date()),
    saysThen: 'again\n',
  },
];

function ids(): { start: number } {
  const record: unknown = JSON.parse(readFileSync(data('ids.json'), 'utf8'));
  return { start: Number(Reflect.get(Object(record), 'start')) };
}

function replaceLink(target: string): void {
  const link = join(rig.store, 'apps/tool/current');
  symlinkSync(target, `${link}.new`);
  renameSync(`${link}.new`, link);
}

function matches(started: Started, expected: string | RegExp | number): void {
  if (typeof expected === 'number') assert.equal(started.status, expected, started.stderr);
  else if (typeof expected === 'string') assert.equal(started.stdout, expected, started.stderr);
  else assert.match(started.stdout, expected, started.stderr);
}

test('what a launch rests on is changed', { skip }, async (t) => {
  layOutApp(rig.store, 'tool', { exec: ['echo', 'first'] });
  for (const { what, given, words, place, says, change, changed, saysThen } of changes) {
    await t.test(what, async () => {
      given?.();
      const before = await rig.warm(words(), place?.());
      matches(before, says);
      change();
      const started = rig.run(words(), changed?.());
      assert.notEqual(started.plan, 'kept');
      matches(started, saysThen);
      if (typeof saysThen === 'object') assert.notEqual(started.stdout, before.stdout);
    });
  }
});

test('lines that differ in one word are different lines', { skip }, async () => {
  const line = (word: string): string[] => ['tool', '--', 'echo', word];
  await rig.warm(line('one'));
  const other = rig.run(line('two'));
  assert.deepEqual([other.plan, other.stdout], ['compiled', 'two\n']);
  assert.equal(rig.run(line('one')).plan, 'kept');
  // The same words, cut elsewhere.
  assert.equal((await rig.warm(['tool', '--', 'echo', 'a b'])).stdout, 'a b\n');
  assert.notEqual(rig.run(['tool', '--', 'echo', 'a', 'b']).plan, 'kept');
});

test('what cannot be told to be unchanged is not kept', { skip }, () => {
  const file = rig.path('name');
  const cases: readonly (readonly [string[], string])[] = [
    [['--env-host', 'tool', '--', 'true'], 'all variables of the environment'],
    [['--rm', 'tool', '--', 'true'], 'its name is drawn at random'],
    [['--cidfile', file, 'tool', '--', 'true'], '--cidfile has to name a new file'],
    [['--privileged', 'tool', '--', 'true'], 'which devices there are'],
    [['--env-file', '/dev/stdin', 'tool', '--', 'true'], '/dev/stdin'],
  ];
  for (const [words, why] of cases) {
    for (let time = 0; time < 2; time++) {
      rmSync(file, { force: true });
      assert.equal(rig.run(words).plan, `compiled, not kept: ${why}`);
    }
  }
});

test('with limits, of a passing instance, in the background', { skip }, async () => {
  const limited = await rig.warm(['--memory', '64m', '--pids-limit', '50', 'tool', '--', 'echo', 'limited']);
  assert.deepEqual([limited.status, limited.stdout], [0, 'limited\n']);
  const passing = ['--ephemeral', 'tool', '--', ...say('test -e /passed && echo there; touch /passed; hostname')];
  assert.equal((await rig.warm(passing)).stdout, 'tool\n');
  const behind = ['-d', '--name', 'behind', 'tool', '--', 'true'];
  assert.equal((await rig.warm(behind)).stdout, 'behind\n');
  assert.equal(rig.trees(['wait', 'behind']).status, 0);
  // A name with a number is for this once.
  const first = rig.trees(['run', '-d', '--ephemeral', 'tool', '--', 'sleep', '60']);
  const second = rig.run(passing);
  assert.deepEqual([first.stdout, second.plan], ['tool\n', 'compiled, not kept: its name depends on what else runs']);
  assert.equal(rig.trees(['kill', 'tool']).status, 0);
  rig.trees(['wait', 'tool']);
  assert.equal(rig.run(passing).plan, 'kept');
});

test('settings of another kind of file count as well', { skip }, async () => {
  writeFileSync(rig.path('work/package.json'), '{"name": "no-settings"}');
  await rig.warm(['tool', '--', 'true']);
  writeFileSync(rig.path('work/package.json'), '{"trees": {"lockTimeout": "soon"}}');
  assert.equal(rig.run(['tool', '--', 'true']).status, 1);
  unlinkSync(rig.path('work/package.json'));
  assert.equal(rig.run(['tool', '--', 'true']).status, 0);
});
