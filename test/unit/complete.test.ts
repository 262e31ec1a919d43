import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { complete } from '../../trees/cli/complete.js';
import { loadSettings } from '../../trees/config/load.js';
import { storePaths } from '../../trees/store/paths.js';

describe('completion', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'trees-complete-'));
  after(() => rmSync(directory, { recursive: true }));
  const { settings } = await loadSettings({
    flags: { root: directory },
    env: { HOME: directory },
    cwd: directory,
    uid: 0,
    tty: false,
    systemDirectory: directory,
  });
  const paths = storePaths(settings.root);
  mkdirSync(join(paths.apps, 'hello'), { recursive: true });
  mkdirSync(join(paths.apps, 'removed'), { recursive: true });
  symlinkSync('1', paths.current('hello'));
  mkdirSync(join(paths.feeds, 'home'), { recursive: true });
  writeFileSync(join(paths.feeds, 'home/index.json'), '{"apps":{"hello":{},"etcd":{}},"bases":{"mini":{}}}');

  const cases: ReadonlyArray<readonly [readonly string[], readonly string[]]> = [
    [['he'], ['hello', 'help']],
    [['e'], ['etcd', 'exec', 'export-bin']],
    [['--roo'], ['--root']],
    [['--root', ''], [':directory']],
    [
      ['--root', 'x', 'co'],
      ['co', 'commit', 'completion', 'config'],
    ],
    [['hello', '-b', ''], ['mini']],
    [['hello', '--del'], ['--delete']],
    [['rm', ''], ['hello']],
    [
      ['install', ''],
      ['etcd', 'hello'],
    ],
    [
      ['install', 'etcd', ''],
      ['etcd', 'hello'],
    ],
    [['co', 'hello', ''], []],
    [['co', 'hello', '-t', ''], [':directory']],
    [
      ['feed', 'r'],
      ['refresh', 'rm'],
    ],
    [['feed', 'rm', ''], ['home']],
    [['help', 'fee'], ['feed']],
    [['help', 'feed', 'a'], ['add']],
    [
      ['completion', ''],
      ['bash', 'fish', 'zsh'],
    ],
    [
      ['release', '--encoding', ''],
      ['both', 'fast', 'small'],
    ],
    [
      ['release', ''],
      ['catalog', 'promote', 'verify'],
    ],
    [['release', 'v'], ['verify']],
    [['release', 'et'], [':file']],
    [
      ['release', 'promote', 'x', '--channel', ''],
      ['edge', 'stable'],
    ],
  ];
  for (const [words, expected] of cases) {
    it(`after "trees ${words.join(' ')}"`, async () => {
      assert.deepEqual(await complete(words, settings), expected);
    });
  }
});
