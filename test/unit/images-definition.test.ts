import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { listDefinitionFiles, loadDefinition, readDefinition } from '../../images/load.js';
import { DEFINITION_SCHEMA_FILE, definitionJsonSchema } from '../../images/schema.js';
import { validateDefinition } from '../../images/validate.js';
import { TreesError } from '../../trees/errors.js';
import { packageRoot } from '../../trees/native-loader.js';

const packaged = join(packageRoot(), 'images', 'definitions');
const dir = mkdtempSync(join(tmpdir(), 'trees-definitions-'));
after(() => rmSync(dir, { recursive: true }));

const app = {
  kind: 'app',
  name: 'x',
  summary: 'an app',
  version: { fixed: '1.0.0' },
  from: { base: 'deb', range: '^12' },
  build: {},
};
const base = { kind: 'base', name: 'b', summary: 'a base', version: { fixed: '1.0.0' }, build: { builder: 'busybox' } };

function problems(content: unknown): readonly string[] {
  try {
    validateDefinition(content, 'x.yaml');
  } catch (error) {
    assert.ok(error instanceof TreesError);
    assert.equal(error.code, 'DEFINITION_INVALID');
    assert.match(error.message, /^definition x\.yaml is wrong:/);
    const list: unknown = error.details?.['problems'];
    assert.ok(Array.isArray(list));
    return list.map(String);
  }
  return [];
}

test('every packaged definition is valid and named as its file', async () => {
  const files = listDefinitionFiles([packaged]);
  const wanted = ['alp', 'borg', 'deb', 'etcd', 'hhvm', 'imageproxy', 'nginx', 'redis', 'tidb', 'trub', 'znc'];
  assert.deepEqual([...files.keys()], wanted);
  for (const [name, file] of files) assert.equal((await readDefinition(file)).definition.name, name);
});

test('the published JSON Schema is the one of the code', () => {
  const file = join(packageRoot(), DEFINITION_SCHEMA_FILE);
  const wanted = `${JSON.stringify(definitionJsonSchema(), undefined, 2)}\n`;
  if (process.env['TREES_UPDATE_SCHEMAS'] === '1') writeFileSync(file, wanted);
  assert.deepEqual(
    JSON.parse(readFileSync(file, 'utf8')),
    JSON.parse(wanted),
    'run this test with TREES_UPDATE_SCHEMAS=1',
  );
});

test('the smallest app and base are accepted', () => {
  assert.deepEqual(problems(app), []);
  assert.deepEqual(problems(base), []);
});

test('messages name the path, what was expected and what there was', () => {
  const cases: ReadonlyArray<readonly [unknown, string]> = [
    [null, 'document: Expected a mapping, got null'],
    [{ ...app, kind: 'bse' }, 'kind: Expected "base" or "app", got "bse"; did you mean base?'],
    [{ ...app, from: { base: 'deb' } }, 'from.range: Expected a string, but it is missing'],
    [{ ...app, build: { packages: ['curl', 3] } }, 'build.packages[1]: Expected a string, got 3'],
    [{ ...app, build: { packges: [] } }, 'build.packges: Unknown key; did you mean packages?'],
    [{ ...app, nmae: 1 }, 'nmae: Unknown key; did you mean name?'],
    [
      { ...app, version: { fixd: '1.0.0' } },
      'version: Expected one of {package: NAME}, {file: PATH} and {fixed: X.Y.Z}, got {"fixd":"1.0.0"}',
    ],
    [{ ...app, version: { fixed: 'one' } }, 'version.fixed: Expected a semantic version X.Y.Z, got "one"'],
    [
      { ...app, run: { services: { web: { exec: ['x'], restrat: 'always' } } } },
      'run.services.web.restrat: Unknown key; did you mean restart?',
    ],
    [
      { ...base, build: { builder: ['apk', 'bussybox'] } },
      'build.builder[1]: Expected "mmdebstrap", "apk", "busybox", "dir" or "tar", got "bussybox"; did you mean busybox?',
    ],
    [
      { ...app, build: { files: [{ path: '/etc/x', content: 'a', symlink: 'b' }] } },
      'build.files[0]: Expected exactly one of content, source, symlink, directory and remove, got {"path":"/etc/x","content":"a","symlink":"b"}',
    ],
  ];
  for (const [content, message] of cases) assert.ok(problems(content).includes(message), problems(content).join('\n'));
});

test('what a builder needs is asked for', () => {
  const [problem = ''] = problems({ ...base, build: { builder: 'mmdebstrap' } });
  assert.match(problem, /^build: Expected suite and sources/);
});

test('paths that leave the image are refused', () => {
  const [problem = ''] = problems({ ...app, build: { files: [{ path: '/etc/../../x', content: '' }] } });
  assert.match(problem, /^build\.files\[0\]\.path: Expected a path without "\.\."/);
});

test('a definition is found by name and by path, and near names are suggested', async () => {
  const file = join(dir, 'mine.json');
  writeFileSync(file, JSON.stringify({ ...app, name: 'mine' }));
  assert.equal((await loadDefinition('mine', [dir, packaged], '/')).file, file);
  assert.equal((await loadDefinition('./mine.json', [], dir)).file, file);
  assert.equal((await loadDefinition('etcd', [dir, packaged], '/')).file, join(packaged, 'etcd.yaml'));
  await assert.rejects(loadDefinition('etdc', [dir, packaged], '/'), (error: unknown) => {
    assert.ok(error instanceof TreesError);
    assert.equal(error.code, 'DEFINITION_NOT_FOUND');
    assert.equal(error.hint, 'did you mean etcd?');
    return true;
  });
});

test('a file whose name and content disagree, and broken YAML, are refused by file name', async () => {
  writeFileSync(join(dir, 'other.json'), JSON.stringify(app));
  writeFileSync(join(dir, 'broken.yaml'), 'kind: [app\nname: x\n');
  await assert.rejects(loadDefinition('other', [dir], '/'), /other\.json is wrong: name: Expected "other"/);
  await assert.rejects(loadDefinition('broken', [dir], '/'), /broken\.yaml cannot be read: .*\(\d+:\d+\)/s);
});
