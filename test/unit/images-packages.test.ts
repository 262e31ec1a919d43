import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseSimulation, sourceLines, withMirror } from '../../images/apt.js';
import { debDate, debFileName, packageVersion, parseStatus } from '../../images/deb.js';
import { splitStatus } from '../../images/dpkg-status.js';
import { parseSources } from '../../images/packages.js';

const dir = mkdtempSync(join(tmpdir(), 'trees-packages-'));
after(() => rmSync(dir, { recursive: true }));

const keyring = '/usr/share/keyrings/test.gpg';
const sources = [
  { uri: 'http://one.example/debian', suites: ['a', 'a-updates'], components: ['main', 'extra'], keyring },
  { uri: 'http://two.example/security', suites: ['a-security'], components: ['main'], keyring },
];

test('what apt would do is read in its order', () => {
  const output = [
    'Reading package lists...',
    'Remv old-thing [1.0]',
    'Inst libc6 [2.36-9] (2.36-9+deb12u14 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64]) []',
    'Conf libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [amd64])',
    'Inst redis-server (5:7.0.15-1 Debian:12.15/oldstable [amd64])',
    'Inst adduser:amd64 (3.134 Debian:12.15/oldstable [all])',
    'Conf adduser (3.134 Debian:12.15/oldstable [all])',
  ].join('\n');
  assert.deepEqual(parseSimulation(output), [
    { kind: 'remove', name: 'old-thing' },
    { kind: 'unpack', package: { name: 'libc6', version: '2.36-9+deb12u14', arch: 'amd64' } },
    { kind: 'configure', name: 'libc6' },
    { kind: 'unpack', package: { name: 'redis-server', version: '5:7.0.15-1', arch: 'amd64' } },
    { kind: 'unpack', package: { name: 'adduser', version: '3.134', arch: 'all' } },
    { kind: 'configure', name: 'adduser' },
  ]);
});

test('a downloaded package is found under the name that apt gives it', () => {
  const name = debFileName({ name: 'redis-server', version: '5:7.0.15-1~deb12u10', arch: 'amd64' });
  assert.equal(name, 'redis-server_5%3a7.0.15-1~deb12u10_amd64.deb');
});

test('the date of a package is that of its first member', async () => {
  const file = join(dir, 'x.deb');
  writeFileSync(file, '!<arch>\ndebian-binary   1684670400  0     0     100644  4         `\n2.0\n');
  assert.equal(await debDate(file), 1_684_670_400);
  writeFileSync(file, 'something that is no package at all, but long enough');
  await assert.rejects(debDate(file), /to be a Debian package/);
});

test('sources survive being written into a base and read back; a mirror replaces the main archive only', () => {
  const lines = sourceLines(sources, true);
  assert.deepEqual(sourceLines(parseSources(lines.join('\n')), true), lines);
  assert.deepEqual(parseSources('# comment\ndeb http://unsigned.example a main\n'), []);
  const mirrored = withMirror(parseSources(lines.join('\n')), 'http://mirror.example/debian');
  assert.deepEqual(
    mirrored.map((source) => source.uri),
    ['http://mirror.example/debian', 'http://mirror.example/debian', 'http://two.example/security'],
  );
});

const stanza = (name: string, version: string, status = 'install ok installed'): string =>
  `Package: ${name}\nStatus: ${status}\nArchitecture: amd64\nVersion: ${version}\n`;

test('removed packages are not part of the database', () => {
  const status = [stanza('a', '1'), stanza('b', '2', 'deinstall ok config-files')].join('\n');
  assert.deepEqual([...parseStatus(status).keys()], ['a:amd64']);
  assert.equal(packageVersion(status, 'a'), '1');
  assert.equal(packageVersion(status, 'b'), undefined);
});

test('a layer records the packages that it adds or changes, one file each', () => {
  const [upper, lower] = [join(dir, 'upper'), join(dir, 'lower')];
  for (const side of [upper, lower]) mkdirSync(join(side, 'var/lib/dpkg/info'), { recursive: true });
  writeFileSync(join(lower, 'var/lib/dpkg/status'), [stanza('same', '1'), stanza('old', '1')].join('\n'));
  const after = [stanza('same', '1'), stanza('old', '2'), stanza('new', '3')];
  writeFileSync(join(upper, 'var/lib/dpkg/status'), after.join('\n'));
  writeFileSync(join(upper, 'var/lib/dpkg/info/new:amd64.md5sums'), 'd41d8cd98f00b204e9800998ecf8427e  etc/x\n');
  splitStatus(upper, lower);
  const records = join(upper, 'var/lib/dpkg/status.d');
  assert.deepEqual(readdirSync(records).sort(), ['new', 'new.md5sums', 'old']);
  assert.equal(readFileSync(join(records, 'old'), 'utf8'), stanza('old', '2'));
});
