import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { TreesError } from '../../trees/errors.js';
import type { Checksum, Metadata } from '../../trees/ostree/types.js';
import { composeTree } from '../../trees/store/compose.js';
import { hash, MemoryRepo } from '../support/memory-repo.js';

/** A directory as a literal: strings are files' content, objects are directories; key '' is the directory's metadata. */
interface Spec {
  readonly [name: string]: string | Spec;
}

/** `path → file content or 'dir:' + metadata`, the flat picture of a tree. */
type Flat = Map<string, string>;

async function write(repo: MemoryRepo, spec: Spec): Promise<{ tree: Checksum; meta: Checksum }> {
  const files: Array<{ name: string; checksum: Checksum }> = [];
  const dirs: Array<{ name: string; tree: Checksum; meta: Checksum }> = [];
  for (const [name, value] of Object.entries(spec).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
    if (name === '') continue;
    if (typeof value === 'string') files.push({ name, checksum: hash(value) });
    else dirs.push({ name, ...(await write(repo, value)) });
  }
  return { tree: await repo.writeDirTree({ files, dirs }), meta: hash(['meta', spec['']]) };
}

async function commit(repo: MemoryRepo, spec: Spec, options: { timestamp?: number; metadata?: Metadata } = {}) {
  const root = await write(repo, spec);
  return await repo.writeCommit({
    rootTree: root.tree,
    rootMeta: root.meta,
    timestamp: options.timestamp ?? 0,
    metadata: options.metadata ?? {},
  });
}

async function flatten(repo: MemoryRepo, checksum: Checksum): Promise<Flat> {
  const flat: Flat = new Map();
  const visit = (path: string, tree: Checksum, meta: Checksum): void => {
    flat.set(path, `dir:${meta}`);
    const content = repo.trees.get(tree);
    assert.ok(content !== undefined);
    for (const file of content.files) flat.set(`${path}${file.name}`, file.checksum);
    for (const dir of content.dirs) visit(`${path}${dir.name}/`, dir.tree, dir.meta);
  };
  const root = await repo.readCommit(checksum);
  visit('/', root.rootTree, root.rootMeta);
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
      const dir = path.slice(0, path.lastIndexOf('/') + 1);
      if (name === '.wh..wh..opq') {
        for (const key of result.keys()) if (key !== dir && key.startsWith(dir)) result.delete(key);
      } else if (name.startsWith('.wh.')) hide(dir + name.slice('.wh.'.length));
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
  const { dir } = fc.letrec<{ dir: Spec; node: string | Spec }>((tie) => ({
    dir: fc
      .tuple(fc.dictionary(name, tie('node'), { maxKeys: 5, noNullPrototype: true }), fc.constantFrom('755', '700'))
      .map(([entries, meta]) => ({ ...entries, '': meta })),
    node: fc.oneof({ depthSize: 'medium', withCrossShrink: true }, fc.constantFrom('x', 'y', 'z'), tie('dir')),
  }));
  return dir.map(withoutWhiteoutDirs);
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
  it('gives what the flat model gives, for any base and up to three layers', async () => {
    const property = fc.asyncProperty(
      specArbitrary(entryName),
      fc.array(specArbitrary(layerName), { minLength: 1, maxLength: 3 }),
      async (baseSpec, layerSpecs) => {
        const repo = new MemoryRepo();
        const base = await commit(repo, baseSpec);
        const layers: Checksum[] = [];
        for (const spec of layerSpecs) layers.push(await commit(repo, spec));
        const flatLayers = await Promise.all(layers.map(async (layer) => await flatten(repo, layer)));
        const expected = model(await flatten(repo, base), flatLayers);

        const composed = await composeTree(repo, { base, layers });
        assert.deepEqual(sorted(await flatten(repo, composed)), sorted(expected));
        assert.equal(await composeTree(repo, { base, layers }), composed, 'the same inputs give the same commit');
      },
    );
    await fc.assert(property, { numRuns: 600 });
  });

  it('reads and writes only the directories that the layer has', async () => {
    const repo = new MemoryRepo();
    const wide: Record<string, Spec> = {};
    for (let i = 0; i < 500; i += 1) wide[`dir${i}`] = { file: String(i), sub: { file: 'x' } };
    const base = await commit(repo, { usr: { bin: { sh: '1' }, lib: wide }, etc: { hosts: '1' } });
    const layer = await commit(repo, { usr: { bin: { app: '2' } }, opt: { app: { data: '3' } } });
    repo.reads = 0;
    repo.writes = 0;

    const composed = await composeTree(repo, { base, layers: [layer] });

    // Layer: /, usr, usr/bin, opt, opt/app. Base: /, usr, usr/bin.
    assert.equal(repo.reads, 8);
    // /, usr, usr/bin; opt is the layer's own object.
    assert.equal(repo.writes, 3);
    const before = await flatten(repo, base);
    const after = await flatten(repo, composed);
    for (const [path, value] of before) assert.equal(after.get(path), value);
    assert.equal(after.get('/usr/bin/app'), hash('2'));
  });

  it('keeps what the layer itself adds beside its whiteout or opaque marker', async () => {
    const repo = new MemoryRepo();
    const base = await commit(repo, { conf: { old: '1' }, dir: { old: '1' } });
    const layer = await commit(repo, {
      '.wh.conf': '',
      conf: { new: '2' },
      dir: { '.wh..wh..opq': '', '!new': '2', '.wh.!new': '' },
    });
    const flat = await flatten(repo, await composeTree(repo, { base, layers: [layer] }));
    assert.deepEqual([...flat.keys()].sort(), ['/', '/conf/', '/conf/new', '/dir/', '/dir/!new']);
  });

  it('commits identity, base, run spec and inputs, with sorted keys and the newest timestamp', async () => {
    const repo = new MemoryRepo();
    const base = await commit(
      repo,
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
      repo,
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
    const repo = new MemoryRepo();
    const base = await commit(repo, {}, arch('x86_64'));
    const layer = await commit(repo, { a: '1' }, arch('aarch64'));
    await assert.rejects(composeTree(repo, { base, layers: [layer] }), isInvalid(/x86_64, aarch64/));
  });

  for (const name of ['.wh.', '.wh..', '.wh...', '.wh..wh.plnk', '.wh..wh.', '.', '..', 'a/b', '../x', 'a\0b']) {
    it(`refuses a layer with a file named ${JSON.stringify(name)}`, async () => {
      const repo = new MemoryRepo();
      const base = await commit(repo, { dir: { a: '1' } });
      const layer = await commit(repo, { dir: { [name]: 'x' } });
      await assert.rejects(composeTree(repo, { base, layers: [layer] }), isInvalid(/\/dir/));
    });
  }

  for (const name of ['.wh.a', '.wh..wh..opq', '..', 'a/b']) {
    it(`refuses a layer with a directory named ${JSON.stringify(name)}`, async () => {
      const repo = new MemoryRepo();
      const base = await commit(repo, { dir: { a: '1' } });
      const layer = await commit(repo, { new: { [name]: { x: '1' } } });
      await assert.rejects(composeTree(repo, { base, layers: [layer] }), isInvalid(/\/new/));
    });
  }

  it('refuses a name that is both a file and a directory', async () => {
    const repo = new MemoryRepo();
    const base = await commit(repo, {});
    const empty = await repo.writeDirTree({ files: [], dirs: [] });
    const rootTree = await repo.writeDirTree({
      files: [{ name: 'x', checksum: hash('1') }],
      dirs: [{ name: 'x', tree: empty, meta: hash('m') }],
    });
    const layer = await repo.writeCommit({ rootTree, rootMeta: hash('m'), timestamp: 0 });
    await assert.rejects(composeTree(repo, { base, layers: [layer] }), isInvalid(/twice/));
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
