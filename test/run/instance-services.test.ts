import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import * as z from 'zod/mini';
import { servicesSchema } from '../../trees/run/service-spec.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, eventually } from './support/container.js';
import { attachClient, instances } from './support/instance.js';

const skip = missingForContainers();
const box = bench();
const own = instances(box);
after(() => {
  own[Symbol.dispose]();
  box[Symbol.dispose]();
});

const deaf = ['sh', '-c', 'trap "" TERM; echo deaf; while :; do sleep 0.05; done'];
const services = (list: object) => ({ container: { services: z.parse(servicesSchema, list) } });

test('an instance of services: who runs is in the status, and each can be looked after', { skip }, async () => {
  own.detach(
    'pair',
    ['unused'],
    services({ one: { exec: ['sleep', '300'] }, two: { exec: ['sleep', '300'], after: ['one'] } }),
  );
  await own.waitForState('pair', 'ready', '1');
  const status = await own.ask('pair', 'status');
  assert.match(status, /^service=one state=(running|ready) pid=\d+ .*$/m);
  assert.match(status, /^service=two state=(running|ready) pid=\d+ .*$/m);
  assert.match(await own.ask('pair', 'service status one'), /one[\s\S]*\nok\n$/);
  assert.match(await own.ask('pair', 'service restart one'), /(^|\n)ok\n$/);
  assert.match(await own.ask('pair', 'service restart nobody'), /(^|\n)error there is no such service/);
  assert.match(await own.ask('pair', 'stop timeout=5000'), /^exit=\d+\nok\n$/);
  assert.equal(own.state('pair')['status'], 'exited');
});

test('output of all services reaches who attaches', { skip }, async () => {
  own.detach(
    'talking',
    ['unused'],
    services({
      one: { exec: ['sh', '-c', 'echo from one; exec sleep 300'] },
      two: { exec: ['sh', '-c', 'echo from two; exec sleep 300'] },
    }),
  );
  const client = attachClient(own.runDir('talking'), ['--no-stdin']);
  await Promise.all([client.see('from one\n'), client.see('from two\n')]);
  await own.ask('talking', 'stop timeout=5000');
  await client.done;
});

test('stopping: the time given counts for services that do not end', { skip }, async () => {
  own.detach('deaf', ['unused'], services({ one: { exec: deaf, stopTimeout: 600 } }));
  const client = attachClient(own.runDir('deaf'), ['--no-stdin']);
  await client.see('deaf');
  const started = performance.now();
  assert.match(await own.ask('deaf', 'stop timeout=300'), /^exit=\d+\nok\n$/);
  const took = performance.now() - started;
  assert.ok(took >= 290 && took < 60_000, `${took} ms`);
});

test('health of the main service is in the state', { skip }, async () => {
  own.detach(
    'healthy',
    ['unused'],
    services({ web: { main: true, exec: ['sleep', '300'], health: { exec: ['true'], interval: 0.1 } } }),
  );
  await own.waitForState('healthy', 'health', 'healthy');
  await own.ask('healthy', 'kill');
  await eventually(() => own.state('healthy')['status'] === 'exited', 'it has ended');
});
