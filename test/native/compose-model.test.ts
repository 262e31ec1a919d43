import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { TreesError } from '../../trees/errors.js';
import { type Checksum, type Metadata, Repo } from '../../trees/ostree/index.js';
import { composeTree } from '../../trees/store/compose.js';
import { writeRaw, writeRawDirMeta, writeRawDirTree } from '../support/raw-objects.js';

/** A directory as a literal: strings are files' content, objects are directories; key '' is the directory's metadata. */
interface Spec {
  readonly [name: string]: string | Spec;
}

/** `path → file content or 'dir:' + metadata`, the flat picture of a tree. */
type Flat = Map<string, string>;

let dir: string;
let repo: Repo;

before(async () => {
  dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'trees-compose-model-'));
  repo = await Repo.create(join(dir, 'repo'), { mode: 'bare-user' });
  await repo.setFsync(false);
});

after(() => {
  repo.close();
  rmSync(dir, { recursive: true, force: true });
});

const hash = (value: string): Checksum => createHash('sha256').update(value).digest('hex');
const bytewise = (a: readonly [string, ...unknown[]], b: readonly [string, ...unknown[]]): number =>
  Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0]));
const objectPath = (tree = ''): string => join(repo.path, 'objects', tree.slice(0, 2), `${tree.slice(2)}.dirtree`);
const meta = (spec: Spec): Checksum => writeRawDirMeta(repo.path, { mode: spec[''] === '700' ? 0o40700 : 0o40755 });

/** Files are only named: composing opens none. */
function write(spec: Spec): { tree: Checksum; meta: Checksum } {
  const entries = Object.entries(spec).filter(([name]) => name !== '');
  const files = entries.flatMap(([name, value]) => (typeof value === 'string' ? [[name, hash(value)] as const] : []));
  const dirs = entries.flatMap(([name, value]) => {
    if (typeof value === 'string') return [];
    const written = write(value);
    return [[name, written.tree, written.meta] as const];
  });
  return {
    tree: writeRawDirTree(repo.path, { files: files.sort(bytewise), dirs: dirs.sort(bytewise) }),
    meta: meta(spec),
  };
}

async function commitRoot(rootTree: Checksum, options: { timestamp?: number; metadata?: Metadata } = {}) {
  const rootMeta = writeRawDirMeta(repo.path);
  return await repo.writeCommit({ rootTree, rootMeta, timestamp: 0, ...options });
}

async function commit(spec: Spec, options: { timestamp?: number; metadata?: Metadata } = {}): Promise<Checksum> {
  const root = write(spec);
  return await repo.writeCommit({ rootTree: root.tree, rootMeta: root.meta, timestamp: 0, ...options });
}

async function flatten(checksum: Checksum): Promise<Flat> {
  const flat: Flat = new Map();
  for await (const entry of repo.walk(checksum)) {
    if (entry.kind === 'file') flat.set(entry.path, entry.checksum);
    else flat.set(entry.path === '/' ? '/' : `${entry.path}/`, `dir:${entry.meta}`);
  }
  return flat;
}

/** Composition by the letter of the image spec, on flat maps: first everything is hidden, then everything is added. */
function model(base: Flat, layers: readonly Flat[]): Flat {
  const result = new Map(base);
  const hide = (path: string): void => {
    for (const key of result.keys()) {
      if (key === path || key === `${path}/` || key.startsWith(`${path}/`)) result.delete(key);
    }
  };
  for (const layer of layers) {
    for (const path of layer.keys()) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const parent = path.slice(0, path.lastIndexOf('/') + 1);
      if (name === '.wh..wh..opq') {
        for (const key of result.keys()) if (key !== parent && key.startsWith(parent)) result.delete(key);
      } else if (name.startsWith('.wh.')) hide(parent + name.slice('.wh.'.length));
    }
    for (const [path, value] of layer) {
      if (path.endsWith('/')) {
        result.delete(path.slice(0, -1));
        result.set(path, value);
      } else if (!path.slice(path.lastIndexOf('/') + 1).startsWith('.wh.')) {
        hide(path);
        result.set(path, value);
      }
    }
  }
  return result;
}

const entryName = fc.constantFrom('a', 'b', 'c', 'é', '\u{1f332}', '\uffee', '.d', '!e');
const layerName = fc.oneof(
  { weight: 6, arbitrary: entryName },
  { weight: 2, arbitrary: entryName.map((name) => `.wh.${name}`) },
  { weight: 1, arbitrary: fc.constant('.wh..wh..opq') },
);

function specArbitrary(name: fc.Arbitrary<string>): fc.Arbitrary<Spec> {
  const { dir: arbitrary } = fc.letrec<{ dir: Spec; node: string | Spec }>((tie) => ({
    dir: fc
      .tuple(fc.dictionary(name, tie('node'), { maxKeys: 5, noNullPrototype: true }), fc.constantFrom('755', '700'))
      .map(([entries, mode]) => ({ ...entries, '': mode })),
    node: fc.oneof({ depthSize: 'medium', withCrossShrink: true }, fc.constantFrom('x', 'y', 'z'), tie('dir')),
  }));
  return arbitrary.map(withoutWhiteoutDirs);
}

/** Whiteouts are files: directories of such names are refused, and tested on their own below. */
function withoutWhiteoutDirs(spec: Spec): Spec {
  return Object.fromEntries(
    Object.entries(spec).map(([name, value]) => {
      if (typeof value === 'string') return [name, value];
      return [name, name.startsWith('.wh.') ? '' : withoutWhiteoutDirs(value)];
    }),
  );
}

describe('composeTree', () => {
  it('gives what the flat model gives, for any base and up to three layers, as libostree would write it', async () => {
    const property = fc.asyncProperty(
      specArbitrary(entryName),
      fc.array(specArbitrary(layerName), { minLength: 1, maxLength: 3 }),
      async (baseSpec, layerSpecs) => {
        const base = await commit(baseSpec);
        const layers: Checksum[] = [];
        for (const spec of layerSpecs) layers.push(await commit(spec));
        const flatLayers = await Promise.all(layers.map(flatten));
        const expected = model(await flatten(base), flatLayers);

        const composed = await composeTree(repo, { base, layers });
        assert.deepEqual(sorted(await flatten(composed)), sorted(expected));
        assert.equal(await composeTree(repo, { base, layers }), composed, 'the same inputs give the same commit');
        for await (const entry of repo.walk(composed)) {
          if (entry.kind !== 'directory') continue;
          assert.equal(await repo.writeDirTree(await repo.readDirTree(entry.checksum)), entry.checksum, entry.path);
        }
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it('always gives the same commit for the same inputs', async () => {
    const base = await commit({ usr: { bin: { sh: '1', '': '755' }, lib: { a: '2' } }, etc: { motd: '3' } });
    const one = await commit({ usr: { bin: { app: '4' } }, etc: { '.wh.motd': '' }, opt: { app: { data: '5' } } });
    const two = await commit({ usr: { '.wh..wh..opq': '', share: { x: '6' } }, '': '700' });
    // Publishers have put checksums like this one into their indexes: it may never change.
    const known = '4101aef2671c9895f312192d86aceb03b80ad9aa71f8513e78606a01e9c4242f';
    assert.equal(await composeTree(repo, { base, layers: [one, two] }), known);
  });

  it('reads only the directories that the layer has', async () => {
    const wide: Record<string, Spec> = {};
    for (let i = 0; i < 500; i += 1) wide[`dir${i}`] = { file: `wide ${i}`, sub: { file: `deep ${i}` } };
    const base = await commit({ usr: { bin: { sh: '1' }, lib: wide }, etc: { hosts: '1' } });
    const layer = await commit({ usr: { bin: { app: '2' } }, opt: { app: { data: '3' } } });
    const whole = await flatten(base);
    const lib = objectPath((await repo.lookupPath(base, '/usr/lib'))?.checksum);
    renameSync(lib, `${lib}.away`);
    const composed = await composeTree(repo, { base, layers: [layer] });
    renameSync(`${lib}.away`, lib);
    const flat = await flatten(composed);
    for (const [path, value] of whole) assert.equal(flat.get(path), value);
    assert.equal(flat.get('/usr/bin/app'), hash('2'));
  });

  it('says which object the store lacks', async () => {
    const base = await commit({ gone: { a: 'only here' } });
    const layer = await commit({ gone: { b: '2' } });
    const tree = (await repo.lookupPath(base, '/gone'))?.checksum;
    rmSync(objectPath(tree));
    const message = new RegExp(`${tree}\\.dirtree cannot be used: it is missing`);
    await assert.rejects(
      composeTree(repo, { base, layers: [layer] }),
      (error) => error instanceof TreesError && error.code === 'STORE_CORRUPT' && message.test(error.message),
    );
  });

  it('keeps what the layer itself adds beside its whiteout or opaque marker', async () => {
    const base = await commit({ conf: { old: '1' }, dir: { old: '1' } });
    const layer = await commit({
      '.wh.conf': '',
      conf: { new: '2' },
      dir: { '.wh..wh..opq': '', '!new': '2', '.wh.!new': '' },
    });
    const flat = await flatten(await composeTree(repo, { base, layers: [layer] }));
    assert.deepEqual([...flat.keys()].sort(), ['/', '/conf/', '/conf/new', '/dir/', '/dir/!new']);
  });

  it('composes in a repository that has the inputs only in its parent', async () => {
    const base = await commit({ a: '1' });
    const layer = await commit({ b: '2' });
    const expected = await composeTree(repo, { base, layers: [layer] });
    using created = await Repo.create(join(dir, 'child'), { mode: 'bare-user' });
    await created.setConfig('core', 'parent', repo.path);
    using child = await Repo.open(join(dir, 'child'));
    assert.equal(await composeTree(child, { base, layers: [layer] }), expected);
  });

  it('commits identity, base, run spec and inputs, with sorted keys and the newest timestamp', async () => {
    const base = await commit(
      { a: '1' },
      {
        timestamp: 50,
        metadata: {
          'trees.name': string('deb'),
          'trees.version': string('12.11.0'),
          'trees.arch': string('x86_64'),
        },
      },
    );
    const layer = await commit(
      { b: '2' },
      {
        timestamp: 40,
        metadata: {
          'trees.version': string('1.2.3'),
          'trees.name': string('etcd'),
          'trees.run': string('{"command":["etcd"]}'),
          'trees.arch': string('x86_64'),
          'trees.kind': string('layer'),
        },
      },
    );
    const tree = await repo.readCommit(await composeTree(repo, { base, layers: [layer] }));
    assert.equal(tree.timestamp, 50);
    assert.deepEqual(Object.keys(tree.metadata), Object.keys(tree.metadata).sort());
    assert.deepEqual(Object.fromEntries(Object.entries(tree.metadata).map(([key, value]) => [key, value.value])), {
      'trees.kind': 'tree',
      'trees.name': 'etcd',
      'trees.version': '1.2.3',
      'trees.arch': 'x86_64',
      'trees.base': JSON.stringify({ name: 'deb', version: '12.11.0', commit: base }),
      'trees.run': '{"command":["etcd"]}',
      'trees.composed': JSON.stringify([base, layer]),
      version: '1.2.3',
    });
  });

  it('refuses layers for another architecture', async () => {
    const base = await commit({}, arch('x86_64'));
    const layer = await commit({ a: '1' }, arch('aarch64'));
    await assert.rejects(composeTree(repo, { base, layers: [layer] }), isInvalid(/x86_64, aarch64/));
  });

  for (const name of ['.wh.', '.wh..', '.wh...', '.wh..wh.plnk', '.wh..wh.', '.', '..', '', 'a/b', '../x', 'a\0b']) {
    it(`refuses a layer with a file named ${JSON.stringify(name)}`, async () => {
      const base = await commit({ dir: { a: '1' } });
      const bad = writeRawDirTree(repo.path, { files: [[name, hash('x')]] });
      const layer = await commitRoot(writeRawDirTree(repo.path, { dirs: [['dir', bad, writeRawDirMeta(repo.path)]] }));
      await assert.rejects(composeTree(repo, { base, layers: [layer] }), isInvalid(/"\/dir/));
    });
  }

  for (const name of ['.wh.a', '.wh..wh..opq', '..', 'a/b', '/etc', 'a\0b']) {
    it(`refuses a layer with a directory named ${JSON.stringify(name)}`, async () => {
      const base = await commit({ dir: { a: '1' } });
      const inner = write({ x: '1' });
      const bad = writeRawDirTree(repo.path, { dirs: [[name, inner.tree, inner.meta]] });
      const layer = await commitRoot(writeRawDirTree(repo.path, { dirs: [['new', bad, inner.meta]] }));
      await assert.rejects(composeTree(repo, { base, layers: [layer] }), isInvalid(/"\/new/));
    });
  }

  it('refuses a name that is there twice, and entries out of order', async () => {
    const base = await commit({});
    const empty = write({});
    const trees = [
      [{ files: [['x', hash('1')]], dirs: [['x', empty.tree, empty.meta]] }, /twice \("x" in "\/"\)/],
      [
        {
          files: [
            ['x', hash('1')],
            ['x', hash('2')],
          ],
        },
        /twice \("x" in "\/"\)/,
      ],
      [
        {
          files: [
            ['b', hash('1')],
            ['a', hash('2')],
          ],
        },
        /not sorted \("a" in "\/"\)/,
      ],
    ] as const;
    for (const [tree, message] of trees) {
      const layer = await commitRoot(writeRawDirTree(repo.path, tree));
      await assert.rejects(composeTree(repo, { base, layers: [layer] }), isInvalid(message));
    }
  });

  it('refuses directories inside of themselves, and absurdly many', async () => {
    const base = await commit({});
    const rootMeta = writeRawDirMeta(repo.path);
    const loop = 'a'.repeat(64);
    writeRawDirTree(repo.path, { dirs: [['again', loop, rootMeta]] }, loop);
    const cycle = await commitRoot(writeRawDirTree(repo.path, { dirs: [['start', loop, rootMeta]] }));
    await assert.rejects(composeTree(repo, { base, layers: [cycle] }), isInvalid(/nested more than 2048 deep/));

    let bomb = writeRawDirTree(repo.path, {});
    for (let level = 0; level < 30; level += 1) {
      const names = Array.from(
        { length: 20 },
        (_, index) => [`d${String(index).padStart(2, '0')}`, bomb, rootMeta] as const,
      );
      bomb = writeRawDirTree(repo.path, { dirs: names });
    }
    await assert.rejects(composeTree(repo, { base, layers: [await commitRoot(bomb)] }), isInvalid(/more than 4000000/));
  });

  it('tells a damaged object from a bad layer', async () => {
    const base = await commit({ d: { a: '1' } });
    const damaged = 'b'.repeat(64);
    writeRaw(repo.path, 'dirtree', Buffer.from('damaged'), damaged);
    const layer = await commitRoot(writeRawDirTree(repo.path, { dirs: [['d', damaged, writeRawDirMeta(repo.path)]] }));
    await assert.rejects(
      composeTree(repo, { base, layers: [layer] }),
      (error) => error instanceof TreesError && error.code === 'STORE_CORRUPT' && /is damaged/.test(error.message),
    );
  });
});

const string = (value: string) => ({ type: 's', value });
const arch = (value: string) => ({ metadata: { 'trees.arch': string(value) } });

function isInvalid(message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof TreesError && error.code === 'LAYER_INVALID' && message.test(error.message);
}

function sorted(flat: Flat): Array<[string, string]> {
  return [...flat].sort(([a], [b]) => (a < b ? -1 : 1));
}
