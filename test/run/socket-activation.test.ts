import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { linesOf, servicesBench, sh, missingForServices as skip } from './support/services.js';

const box = servicesBench();
after(() => box[Symbol.dispose]());

test('sockets are open before a service starts, in order, with names, for it alone', { skip }, async () => {
  const { stdout } = await box.services({
    web: {
      exec: sh(
        'echo $LISTEN_FDS $LISTEN_FDNAMES; test $LISTEN_PID = $$ && echo mine; ls -l /proc/self/fd | grep -c socket; stat -c "%a %U" /tmp/sock; exec helper accept 4',
      ),
      listen: [
        8081,
        { socket: '/tmp/sock', name: 'control', mode: '0660' },
        { socket: 'udp:127.0.0.1:5353', name: 'dns' },
      ],
      user: 'app',
      restart: 'never',
    },
    other: { exec: sh('echo "${LISTEN_FDS-none}"; ls -l /proc/self/fd | grep -c socket') },
    ask: { exec: sh('nc local:/tmp/sock </dev/null || true'), after: ['web'] },
    main: { exec: sh('sleep 0.5'), main: true },
  }).done;
  assert.deepEqual(linesOf(stdout, 'web').slice(0, 4), ['3 web:control:dns', 'mine', '3', '660 app']);
  assert.deepEqual(linesOf(stdout, 'other'), ['none', '0']);
});

test('no connection is lost while a service is restarted', { skip }, async () => {
  const { stdout } = await box.services({
    web: {
      exec: ['helper', 'accept', '3'],
      listen: ['tcp:127.0.0.1:8082'],
      restart: { policy: 'always', delay: 0, maxDelay: 0 },
    },
    main: { exec: sh('for i in 1 2 3 4 5 6; do nc 127.0.0.1 8082 </dev/null; done'), main: true },
  }).done;
  assert.equal(linesOf(stdout, 'main').filter((line) => line.startsWith('hello')).length, 6);
});

test('lazy services start with the first connection, and again after they have ended', { skip }, async () => {
  const { stdout } = await box.services({
    web: { exec: sh('echo started; exec helper accept 3'), listen: [8083], lazy: true, restart: 'never' },
    udp: { exec: sh('exec helper datagram 3'), listen: ['udp:8084'], lazy: true },
    main: {
      exec: sh(
        'sleep 0.3; echo before; nc 127.0.0.1 8083 </dev/null; nc 127.0.0.1 8083 </dev/null; helper send 8084; sleep 0.5',
      ),
      main: true,
    },
  }).done;
  const order = stdout.split('\n').filter((line) => line !== '');
  assert.ok(order.indexOf('[main OUT] before') < order.indexOf('[web OUT] started'), stdout);
  assert.equal(linesOf(stdout, 'web').length, 2);
  assert.equal(linesOf(stdout, 'main').filter((line) => line.startsWith('hello')).length, 2);
  assert.deepEqual(linesOf(stdout, 'udp'), ['packet']);
});

test('a socket that cannot be opened ends the container before anything is started', { skip }, async () => {
  const { status, stdout, stderr } = await box.services({
    a: { exec: sh('echo wrong') },
    web: { exec: sh('echo wrong'), listen: ['tcp:192.0.2.1:80'] },
  }).done;
  assert.deepEqual([status, linesOf(stdout, 'a')], [125, []]);
  assert.match(stdout + stderr, /cannot listen for service web on 192\.0\.2\.1/);
});
