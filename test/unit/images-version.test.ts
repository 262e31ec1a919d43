import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import compare from 'semver/functions/compare.js';
import satisfies from 'semver/functions/satisfies.js';
import { compareVersions, nextFree, toSemver } from '../../images/version.js';

const at = (date: string): number => Date.parse(`${date}T12:00:00Z`) / 1000;
const INDEX_VERSION = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;

test('package versions become semantic versions by the stated rules', () => {
  const cases: ReadonlyArray<readonly [string, string, string]> = [
    ['3.4.23-4+b4', '2023-05-21', '3.4.23230521'],
    ['1.22.1-9+deb12u11', '2026-02-14', '1.22.1260214'],
    ['5:7.0.15-1~deb12u10', '2025-10-03', '7.0.15251003'],
    ['1.8.2-3.1+deb12u2', '2024-07-01', '1.8.2240701'],
    ['12.11', '2025-05-20', '12.11.250520'],
    ['24.04', '2024-04-25', '24.4.240425'],
    ['20250419~deb12u2', '2025-04-19', '20250419.0.250419'],
    ['1.3.0~rc1-1', '2025-01-02', '1.3.0-rc1.250102'],
    ['1:1.2.11.dfsg-2', '2022-01-01', '1.2.11220101'],
    ['1.36.1-r29', '2024-06-10', '1.36.1240610'],
    ['4.13+dfsg1-1+deb12u2', '2024-11-01', '4.13.241101'],
    ['2.4.7.3', '2001-02-03', '2.4.7010203'],
    // Tags of the original project, YY.MM-X: X counts as a revision does.
    ['20.05-3', '2020-05-09', '20.5.200509'],
    ['20.05-4', '2020-05-11', '20.5.200511'],
    ['20.11-1', '2020-11-02', '20.11.201102'],
  ];
  for (const [version, date, expected] of cases) assert.equal(toSemver(version, at(date)), expected, version);
});

test('every result is a version that indexes and refs accept, and matches the range of its major version', () => {
  const part = fc.integer({ min: 0, max: 99_999 });
  fc.assert(
    fc.property(part, part, part, fc.integer({ min: 0, max: 4_000_000_000 }), (major, minor, patch, date) => {
      const version = toSemver(`${major}.${minor}.${patch}-1+deb12u1`, date);
      assert.match(version, INDEX_VERSION);
      if (major > 0) assert.ok(satisfies(version, `^${major}`), version);
      assert.ok(satisfies(version, `~${major}.${minor}`), version);
    }),
  );
});

test('later packages and greater upstream versions are greater', () => {
  const part = fc.integer({ min: 0, max: 999 });
  const date = fc.integer({ min: at('2000-01-01'), max: at('2099-12-31') });
  fc.assert(
    fc.property(fc.tuple(part, part, part, date), fc.tuple(part, part, part, date), (a, b) => {
      const [left, right] = [a, b].map(([x, y, z, day]) => toSemver(`${x}.${y}.${z}-1`, day));
      const order = [0, 1, 2].map((index) => (a[index] ?? 0) - (b[index] ?? 0)).find((difference) => difference !== 0);
      const days = Math.floor(a[3] / 86_400) - Math.floor(b[3] / 86_400);
      assert.equal(Math.sign(compare(left ?? '', right ?? '')), Math.sign(order ?? days));
      assert.equal(Math.sign(compareVersions(left ?? '', right ?? '')), Math.sign(order ?? days));
    }),
  );
});

test('a version that is taken is raised, within its upstream version', () => {
  assert.equal(nextFree('3.4.23230521', []), '3.4.23230521');
  assert.equal(nextFree('3.4.23230521', ['3.4.23230521']), '3.4.23230522');
  assert.equal(nextFree('3.4.23230521', ['3.4.23230530', '3.4.24230101', '3.5.230101']), '3.4.23230531');
  assert.equal(nextFree('1.3.0-rc1.250102', ['1.3.0-rc1.250102']), '1.3.0-rc1.250102.1');
});

test('a version without a number is refused', () => {
  assert.throws(() => toSemver('unstable', 0), /has no number/);
});
