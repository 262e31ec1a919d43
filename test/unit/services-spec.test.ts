import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod/mini';
import { planServices } from '../../trees/run/compile-services.js';
import { servicesSchema } from '../../trees/run/service-spec.js';
import { longestStop, resolveServices } from '../../trees/run/services.js';
import { parseMulti } from '../../trees/run/services-multi.js';

const exec = ['x'];
const parse = (services: object) => z.parse(servicesSchema, services);

for (const [name, services, message] of [
  ['itself', { a: { exec, after: ['a'] } }, /refers to itself/],
  ['a watched service that is not there', { a: { exec, watch: [{ service: 'b' }] } }, /refers to b/],
  ['a cycle of wants', { a: { exec, wants: ['b'] }, b: { exec, wants: ['a'] } }, /a → b → a/],
  ['two kinds of checks', { a: { exec, health: { exec, tcp: 80 } } }, /one of exec, tcp, http and unix/],
  ['a check by name', { a: { exec, health: { http: 'http://example.com/' } } }, /literal address/],
  ['a check by https', { a: { exec, health: { http: 'https://127.0.0.1/' } } }, /literal address/],
  ['a status of no http', { a: { exec, health: { tcp: 80, status: '200' } } }, /status belongs to http/],
  ['health that is not there', { a: { exec, ready: 'health' } }, /has no health check/],
  [
    'a descriptor that is a socket',
    { a: { exec, listen: [80, 81], ready: { fd: 4 } } },
    /expected ready.fd to be higher/,
  ],
  ['lazy without a socket', { a: { exec, lazy: true } }, /listens on nothing/],
  ['a lazy main service', { a: { exec, lazy: true, listen: [80], main: true } }, /cannot be lazy/],
  ['once without a source', { a: { exec, when: { once: 'exit' } } }, /source together with once or each/],
  ['an unknown limit', { a: { exec, rlimits: { files: 3 } } }, /rlimits/],
  ['a relative socket', { a: { exec, listen: ['run/x'] } }, /or a path/],
  ['a one-shot with readiness', { a: { exec, oneshot: true, ready: 'notify' } }, /ready when it has ended/],
] as const) {
  test(`services: ${name} is refused`, () => {
    const result = z.safeParse(servicesSchema, services);
    assert.equal(result.success, false);
    assert.match(JSON.stringify(result.error.issues), message);
  });
}

test('services as records: times, addresses, signals and references', () => {
  const { services, serviceLinks } = planServices(
    parse({
      db: { exec, listen: [6379, 'udp:[::1]:53', { socket: '/run/db', mode: '0660', backlog: 5 }] },
      web: {
        exec,
        requires: ['db'],
        stopTimeout: 0.0001,
        stopSignal: 'INT',
        health: { http: 'http://[::1]:81/a?b', status: '204' },
        restart: { policy: 'always', delay: 90 },
        rlimits: { nofile: { soft: 1, hard: 'unlimited' } },
      },
    }),
  );
  const [db, web] = services;
  assert.deepEqual([db?.linkFirst, db?.linkCount, web?.linkFirst, web?.linkCount], [0, 3, 3, 2]);
  assert.deepEqual(
    serviceLinks.slice(0, 3).map(({ target, text, number }) => [target, text, number]),
    [
      [0, '*', 6379],
      [1, '::1', 53],
      [2, '/run/db', 0o660],
    ],
  );
  assert.deepEqual(
    [web?.stopTimeout, web?.stopSignal, web?.restartDelay, web?.restartMaxDelay],
    [1, 2, 90_000, 90_000],
  );
  assert.deepEqual(
    [web?.health.address, web?.health.port, web?.health.host, web?.health.path, web?.health.statusMax],
    ['::1', 81, '[::1]:81', '/a?b', 204],
  );
  assert.equal(serviceLinks.at(-1)?.b, 0xffff_ffff_ffff_ffffn);
});

test('which services run: what was asked for, then mode, then what is declared', () => {
  const services = parse({ a: { exec } });
  const none = { command: [] };
  assert.equal(resolveServices({ services }, { command: ['x'] }), undefined);
  assert.equal(resolveServices({ services, exec, mode: 'process' }, none), undefined);
  assert.equal(resolveServices({ exec }, none), undefined);
  assert.deepEqual(resolveServices({ services, stopTimeout: 3 }, none)?.['a']?.stopTimeout, 3);
  const asked = { command: [], services: { services: parse({ b: { exec } }) } };
  assert.deepEqual(Object.keys(resolveServices({ services }, asked) ?? {}), ['b']);
  assert.throws(() => resolveServices({ mode: 'services' }, none), /none are declared/);
});

test('the longest stop is that of the longest chain, hooks included', () => {
  const services = parse({
    a: { exec, stopTimeout: 1 },
    b: { exec, stopTimeout: 2, after: ['a'], preStop: exec },
    c: { exec, stopTimeout: 6 },
  });
  assert.equal(longestStop(services), 6);
  assert.equal(longestStop(parse({ ...services, b: { exec, stopTimeout: 3, after: ['a'], preStop: exec } })), 7);
});

test('several commands: named for their programs', () => {
  assert.deepEqual(Object.keys(parseMulti(['a', '--', '/usr/bin/A', 'x', '--', 'php-fpm8.2', '--', './'])), [
    'a-1',
    'a-2',
    'php-fpm8.2',
    'command',
  ]);
  assert.deepEqual(parseMulti(['a', 'b', '--', 'c'])['a']?.exec, ['a', 'b']);
  assert.throws(() => parseMulti(['a', '--']), /empty one/);
});
