import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { defineCommand } from '../../trees/cli/command.js';
import { fastParse } from '../../trees/cli/fast-parse.js';
import { readLine } from '../../trees/cli/line.js';
import { registry } from '../../trees/cli/registry.js';
import { yargsParse } from '../../trees/cli/yargs-parse.js';
import { TreesError } from '../../trees/errors.js';

const sample = defineCommand({
  name: 'sample',
  summary: 'a command with every kind of argument',
  positionals: [
    { name: 'app', describe: 'app', required: true },
    { name: 'more', describe: 'more', variadic: true },
  ],
  options: {
    target: { type: 'string', alias: 't', describe: 'target' },
    env: { type: 'array', alias: 'e', describe: 'environment' },
    force: { type: 'boolean', alias: 'f', describe: 'force' },
    depth: { type: 'number', describe: 'depth' },
    volume: { type: 'array', alias: 'v', describe: 'shadows the global -v' },
    mode: { type: 'string', choices: ['a', 'b'], describe: 'mode' },
  },
  examples: [['sample x', 'example']],
  restName: 'CMD…',
  handler: async () => ({ json: null, text: '' }),
});

/** Lines that both parsers must understand alike. */
const lines: ReadonlyArray<readonly string[]> = [
  ['app'],
  ['app', '-t', 'x', '--json'],
  ['--target=x=y', 'app', 'b', 'c'],
  ['app', '-e', 'A=1', '--env', 'B=2'],
  ['app', '-f', '--', '-x', '--help', '--', 'y'],
  ['-v', 'a:b', 'app', '--dry-run'],
  ['app', '--mode', 'b', '-q'],
  ['12', '-t', '007'],
];

describe('parsing the words after the command', () => {
  for (const line of lines) {
    it(`fast parser and yargs agree on: ${line.join(' ')}`, async () => {
      const fast = fastParse(sample, line);
      assert.ok(fast !== undefined);
      const slow = await yargsParse(sample, 'sample', line);
      const defined = (args: Readonly<Record<string, unknown>>) =>
        Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined));
      assert.deepEqual(defined(slow.globals), defined(fast.globals));
      assert.deepEqual(defined(slow.args), defined(fast.args));
    });
  }

  for (const line of [
    ['app', '--help'],
    ['app', '--unknown'],
    ['app', '-fq'],
    [],
    ['app', '-t'],
    ['app', '--mode', 'c'],
    ['app', '--depth', '3'],
  ]) {
    it(`the fast parser leaves to yargs: ${line.join(' ')}`, () => {
      assert.equal(fastParse(sample, line), undefined);
    });
  }

  for (const [line, message] of [
    [['app', '--unknown'], /unknown option --unknown/],
    [['--unknown', 'app'], /unknown option --unknown/],
    [['-x', 'app'], /x/],
    [['app', '--mode', 'c'], /mode/],
    [['app', '--depth', 'deep'], /depth/],
    [['app', '-t', 'a', '-t', 'b'], /once/],
    [['app', '-t'], /after --target, got nothing/],
    [['app', '-t', '-f'], /after --target, got the option -f/],
    [['app', '-t', ''], /--target .*empty string/],
    [['app', '--target='], /--target .*empty string/],
    [['app', '--depth', ''], /--depth to be a number, got ""/],
    [['app', '--force=maybe'], /--force without a value, got "maybe"/],
    [['app', '-fx'], /unknown option -x/],
    [[], /Expected APP, got nothing/],
  ] as const) {
    it(`wrong usage is explained: ${line.join(' ')}`, async () => {
      await assert.rejects(yargsParse(sample, 'sample', line), (error: unknown) => {
        assert.ok(error instanceof TreesError);
        assert.equal(error.code, 'USAGE');
        assert.equal(error.status, 2);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

describe('options spelled in short', () => {
  for (const [line, expected] of [
    [['app', '-ft', 'x'], { force: true, target: 'x' }],
    [['app', '-ftx'], { force: true, target: 'x' }],
    [['app', '-tx=y'], { target: 'x=y' }],
    [['app', '-eA=1', '-fe', 'B=2'], { env: ['A=1', 'B=2'], force: true }],
    [['app', '--force=false'], { force: false }],
    [['app', '--depth', '-3'], { depth: -3 }],
  ] as const) {
    it(line.join(' '), async () => {
      const { app, rest, more, ...options } = (await yargsParse(sample, 'sample', line)).args;
      assert.deepEqual({ app, rest }, { app: 'app', rest: [] });
      assert.deepEqual(more ?? [], []);
      assert.deepEqual(options, expected);
    });
  }
});

describe('finding the command', () => {
  const kindOf = async (argv: readonly string[]) => {
    const request = await readLine(argv);
    return request.kind === 'run' ? { name: request.command.name, ...request.line } : { kind: request.kind };
  };

  it('takes the first word that is no option', async () => {
    const line = await kindOf(['--root', 'ls', '--json', 'config', 'root']);
    assert.deepEqual(line, {
      name: 'config',
      args: { setting: 'root', rest: [] },
      globals: { root: 'ls', json: true },
    });
  });

  it('treats any other word as an app in the original form', async () => {
    const line = await kindOf(['-b', 'deb', 'etcd', '-f']);
    assert.deepEqual(line, { name: 'APP', args: { app: 'etcd', base: 'deb', force: true, rest: [] }, globals: {} });
  });

  it('takes -n alone for the name of the app', async () => {
    const line = await kindOf(['-n', 'etcd', '-b', 'alp']);
    assert.deepEqual(line, { name: 'APP', args: { name: 'etcd', base: 'alp', app: undefined, rest: [] }, globals: {} });
  });

  it('knows the value of an option in a cluster from the app', async () => {
    const line = await kindOf(['-fn', 'check', 'etcd', '-bdeb']);
    assert.deepEqual(line, {
      name: 'APP',
      args: { app: 'etcd', name: 'check', force: true, base: 'deb', rest: [] },
      globals: {},
    });
  });

  it('shows the help of a command that is asked for before it', async () => {
    assert.deepEqual(await kindOf(['--help', 'gc']), { kind: 'help' });
    assert.deepEqual(await kindOf(['help', '--json', 'feed', 'add']), { kind: 'help' });
  });

  it('refuses repeated global options before the command', async () => {
    await assert.rejects(readLine(['--root', 'a', '--root', 'b', 'ls']), /--root once/);
  });

  it('shows help with status 2 when nothing is asked, 0 when help is', async () => {
    const nothing = await readLine([]);
    const asked = await readLine(['--help']);
    assert.equal(nothing.kind === 'help' && nothing.status, 2);
    assert.equal(asked.kind === 'help' && asked.status, 0);
  });

  it('refuses an unknown option without a command', async () => {
    await assert.rejects(readLine(['--bogus']), /unknown option --bogus/);
  });
});

describe('every command', () => {
  for (const entry of registry) {
    it(`${entry.name} loads under its name and has examples, a summary and help`, async () => {
      const loaded = await entry.load();
      assert.equal(loaded.name, entry.name);
      const { commandHelp, groupHelp } = await import('../../trees/cli/yargs-parse.js');
      const commands = loaded.kind === 'group' ? loaded.commands : [loaded];
      const warnings: string[] = [];
      const onWarning = ({ message }: Error): void => void warnings.push(message);
      process.on('warning', onWarning);
      for (const command of commands) {
        assert.ok(command.examples.length > 0, 'at least one example');
        assert.ok(command.summary.length > 0);
        for (const [line] of command.examples)
          assert.ok(line.startsWith(entry.name) || loaded.kind === 'command', line);
        const help = await commandHelp(command, command.name);
        assert.match(help, /Examples:/);
        for (const [line] of command.examples) assert.ok(help.includes(`trees ${line}`), `"${line}" is in one piece`);
      }
      if (loaded.kind === 'group') assert.match(await groupHelp(loaded), /Commands:/);
      // Node gives them in the next turn.
      await turn();
      process.off('warning', onWarning);
      assert.deepEqual(warnings, []);
    });
  }

  it('has its own name and aliases', () => {
    const names = registry.flatMap((entry) => [entry.name, ...(entry.aliases ?? [])]);
    assert.deepEqual(names, [...new Set(names)]);
  });
});
