import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { environmentName, leaves } from '../../trees/config/leaves.js';
import { type LoadInput, loadSettings } from '../../trees/config/load.js';
import { settingsJsonSchema } from '../../trees/config/validate.js';
import { TreesError } from '../../trees/errors.js';

let dir: string;
let input: LoadInput;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'trees-config-'));
  for (const name of ['etc', 'xdg/trees', 'project/below', 'home']) await mkdir(join(dir, name), { recursive: true });
  input = {
    flags: {},
    env: { HOME: join(dir, 'home'), XDG_CONFIG_HOME: join(dir, 'xdg') },
    cwd: join(dir, 'project'),
    uid: 0,
    tty: false,
    systemDirectory: join(dir, 'etc'),
  };
});
after(() => rm(dir, { recursive: true }));

async function withFiles(files: Readonly<Record<string, string>>, body: () => Promise<void>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  try {
    await body();
  } finally {
    for (const name of Object.keys(files)) await rm(join(dir, name));
  }
}

async function originOf(path: string, from: LoadInput): Promise<string | undefined> {
  return (await loadSettings(from)).origins.find((origin) => origin.path === path)?.from;
}

describe('settings', () => {
  it('are overridden in order: system, user, project, --config, environment, flag', async () => {
    const files = {
      'etc/trees.yaml': 'lockTimeout: 1\nfeed: system\n',
      'xdg/trees/trees.yaml': 'lockTimeout: 2\nfeed: user\n',
      'project/trees.yaml': 'lockTimeout: 3\nfeed: project\n',
      'explicit.yaml': 'lockTimeout: 4\n',
    };
    await withFiles(files, async () => {
      const flags = { config: join(dir, 'explicit.yaml') };
      const timeout = async (from: LoadInput) => (await loadSettings(from)).settings.lockTimeout;
      assert.equal(await timeout(input), 3);
      assert.equal(await timeout({ ...input, flags }), 4);
      assert.equal(await timeout({ ...input, flags, env: { ...input.env, TREES_LOCK_TIMEOUT: '5' } }), 5);
      const all = { ...input, env: { ...input.env, TREES_FEED: 'env' }, flags: { feed: 'flag' } };
      assert.equal((await loadSettings(all)).settings.feed, 'flag');
      assert.equal(await originOf('feed', all), 'flag --feed');
      assert.equal(await originOf('feed', { ...all, flags: {} }), 'environment TREES_FEED');
      assert.equal(await originOf('feed', input), `project ${join(dir, 'project/trees.yaml')}`);
      assert.equal(await timeout({ ...input, cwd: join(dir, 'home') }), 2);
      await rm(join(dir, 'xdg/trees/trees.yaml'));
      assert.equal(await timeout({ ...input, cwd: join(dir, 'home') }), 1);
      await writeFile(join(dir, 'xdg/trees/trees.yaml'), '');
    });
  });

  it('come from "trees" in package.json too', async () => {
    await withFiles({ 'project/package.json': '{"name":"x","trees":{"feed":"packaged"}}' }, async () => {
      assert.equal((await loadSettings(input)).settings.feed, 'packaged');
    });
  });

  it('are never taken from a parent directory, and walking never runs code', async () => {
    const marker = join(dir, 'marker');
    const code = `require('node:fs').writeFileSync(${JSON.stringify(marker)}, ''); module.exports = { feed: 'code' };`;
    const files = {
      'project/trees.yaml': 'feed: parent\n',
      'project/below/trees.config.js': code,
      'project/below/trees.js': code,
      'project/below/.treesrc.js': code,
      'project/below/.config/config.js': code,
      'project/below/package.json': '{"trees":{}}',
    };
    await mkdir(join(dir, 'project/below/.config'));
    const cwd = process.cwd();
    await withFiles(files, async () => {
      process.chdir(join(dir, 'project/below'));
      try {
        assert.equal((await loadSettings({ ...input, cwd: join(dir, 'project/below') })).settings.feed, undefined);
        await assert.rejects(readFile(marker));
      } finally {
        process.chdir(cwd);
      }
    });
  });

  it('may be TypeScript when the file is named', async () => {
    await withFiles({ 'settings.ts': 'const feed: string = "typed";\nexport default { feed };\n' }, async () => {
      const { settings } = await loadSettings({ ...input, flags: { config: join(dir, 'settings.ts') } });
      assert.equal(settings.feed, 'typed');
    });
  });

  for (const [text, message] of [
    ['lokTimeout: 1\n', /lokTimeout/],
    ['lockTimeout: soon\n', /lockTimeout: .*number/i],
    ['release: { expiresDays: 0 }\n', /release\.expiresDays/],
    ['{ unclosed\n', /trees\.yaml/],
    ['- a list\n', /object/],
  ] as const) {
    it(`wrong ones name the file and the setting: ${text.trim()}`, async () => {
      await withFiles({ 'project/trees.yaml': text }, () =>
        assert.rejects(loadSettings(input), (error: unknown) => {
          assert.ok(error instanceof TreesError);
          assert.equal(error.code, 'CONFIG_INVALID');
          assert.ok(error.message.includes(join(dir, 'project')), error.message);
          assert.match(error.message, message);
          return true;
        }),
      );
    });
  }

  it('wrong variables are named', async () => {
    const env = { ...input.env, TREES_COLOR: 'maybe' };
    await assert.rejects(loadSettings({ ...input, env }), /Expected TREES_COLOR to be true or false, got "maybe"/);
  });

  it('contradicting flags are refused', async () => {
    await assert.rejects(loadSettings({ ...input, flags: { user: true, system: true } }), /--user or --system/);
  });

  it('place state by scope and root', async () => {
    const root = async (changes: Partial<LoadInput>) => (await loadSettings({ ...input, ...changes })).settings.root;
    assert.equal(await root({}), '/var/lib/trees');
    assert.equal(await root({ uid: 1000 }), join(dir, 'home/.local/share/trees'));
    assert.equal(await root({ flags: { root: 'sub' } }), join(dir, 'project/sub/var/lib/trees'));
    const relative = { ...input.env, XDG_DATA_HOME: 'relative' };
    assert.equal(await root({ uid: 1000, env: relative }), join(dir, 'home/.local/share/trees'));
  });
});

describe('the published schema', () => {
  it('is current (node --import tsx scripts/gen-schema.ts writes it)', async () => {
    const path = fileURLToPath(new URL('../../trees/config/trees.schema.json', import.meta.url));
    assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), settingsJsonSchema());
  });

  it('has exactly the settings that are listed', () => {
    const found: string[] = [];
    const visit = (node: unknown, path: string): void => {
      const properties: unknown = Reflect.get(Object(node), 'properties');
      if (typeof properties === 'object' && properties !== null) {
        for (const [key, child] of Object.entries(properties)) visit(child, path === '' ? key : `${path}.${key}`);
      } else {
        found.push(path);
      }
    };
    visit(settingsJsonSchema(), '');
    assert.deepEqual(found.sort(), leaves.map((leaf) => leaf.path).sort());
  });

  it('gives each setting its own variable', () => {
    const names = leaves.map((leaf) => environmentName(leaf.path));
    assert.equal(new Set(names).size, leaves.length);
    assert.equal(environmentName('release.expiresDays'), 'TREES_RELEASE_EXPIRES_DAYS');
  });
});
