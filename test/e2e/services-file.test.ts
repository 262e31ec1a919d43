import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildServiceHelper, linesOf, missingForServices, sh } from '../run/support/services.js';
import { createInstanceRig, type InstanceRig } from '../support/instance-rig.js';
import type { RunResult } from '../support/rig.js';

const until = (file: string): string => `while [ ! -e ${file} ]; do sleep 0.02; done`;
const about = sh('echo $A $B $TREES_SERVICE; id -un; pwd; ulimit -Sn; ulimit -Hn');

/** What one file can say about services, as a user writes it: how each key works in detail is tested with the launcher. */
describe('services of a file, through the command line', { skip: missingForServices }, () => {
  let rig: InstanceRig;
  before(async () => {
    rig = await createInstanceRig();
    buildServiceHelper(join(rig.install('tool', { env: { A: 'app', B: 'shared' } }), 'rootfs'));
  });
  after(() => rig[Symbol.asyncDispose]());

  async function run(services: object, ...options: string[]): Promise<RunResult> {
    const file = rig.path('services.json');
    writeFileSync(file, JSON.stringify({ services }));
    return rig.trees(['run', '--rm', ...options, '--services', file, 'tool']);
  }

  it('each has its own environment, user, directory and limits, over those of the app', async () => {
    const { status, stdout, stderr } = await run({
      own: {
        exec: about,
        env: { A: 'own' },
        user: 'app',
        workdir: '/tmp',
        rlimits: { nofile: { soft: 77, hard: 88 } },
        oneshot: true,
      },
      plain: { exec: about, requires: ['own'], main: true },
    });
    assert.equal(status, 0, stderr);
    assert.deepEqual(linesOf(stdout, 'own'), ['own shared own', 'app', '/tmp', '77', '88']);
    const [environment, user, directory, ...limits] = linesOf(stdout, 'plain');
    assert.deepEqual([environment, user, directory], ['app shared plain', 'root', '/']);
    assert.ok(Number(limits[0]) > 88 && Number(limits[1]) > 88, limits.join(' '));
  });

  it('a service runs when another one has ended well, or badly, and not when it has ended otherwise', async () => {
    const { status, stdout, stderr } = await run({
      good: { exec: ['true'], oneshot: true },
      bad: { exec: sh('exit 3'), restart: 'never' },
      'after-good': { exec: sh('echo ran; touch /tmp/good'), when: { source: 'good', once: 'exit-success' } },
      'after-bad': { exec: sh('echo ran; touch /tmp/bad'), when: { source: 'bad', once: 'exit-failed' } },
      'not-good': { exec: sh('echo wrong'), when: { source: 'bad', once: 'exit-success' } },
      'not-bad': { exec: sh('echo wrong'), when: { source: 'good', once: 'exit-failed' } },
      main: { exec: sh(`${until('/tmp/good')}; ${until('/tmp/bad')}; exit 7`), main: true },
    });
    assert.equal(status, 7, stderr);
    assert.deepEqual(stdout.trimEnd().split('\n').toSorted(), ['[after-bad OUT] ran', '[after-good OUT] ran']);
  });

  it('a service reloads, or starts again, when a file changes', async () => {
    const waits = (up: string, name: string): string[] =>
      sh(`${up}; touch /tmp/${name}-$(ls /tmp | grep -c ${name}); while :; do sleep 0.02; done`);
    const watch = [{ path: '/etc/tool.conf', delay: 0 }];
    const { status, stdout, stderr } = await run({
      reloads: {
        exec: waits("trap 'echo reads $(cat /etc/tool.conf); touch /tmp/read' HUP", 'reloads'),
        reloadSignal: 'HUP',
        watch,
      },
      restarts: { exec: waits('echo starts', 'restarts'), watch },
      main: {
        exec: sh(
          `${until('/tmp/reloads-0')}; ${until('/tmp/restarts-0')}; echo new >/etc/tool.conf.new; ` +
            `mv /etc/tool.conf.new /etc/tool.conf; ${until('/tmp/read')}; ${until('/tmp/restarts-1')}`,
        ),
        main: true,
      },
    });
    assert.equal(status, 0, stderr);
    assert.deepEqual(linesOf(stdout, 'reloads'), ['reads new']);
    assert.deepEqual(linesOf(stdout, 'restarts'), ['starts', 'starts']);
  });

  it('a service gets its sockets open, and a lazy one starts with the first connection', async () => {
    const { status, stdout, stderr } = await run(
      {
        web: {
          exec: sh(
            'echo $LISTEN_FDS $LISTEN_FDNAMES; test $LISTEN_PID = $$ && echo mine; ls /tmp | grep asked; exec helper accept 3',
          ),
          listen: [
            { socket: 8085, name: 'http' },
            { socket: '/tmp/sock', name: 'control', mode: '0660' },
          ],
          lazy: true,
          restart: 'never',
        },
        main: {
          exec: sh('stat -c %a /tmp/sock; sleep 0.3; touch /tmp/asked; nc 127.0.0.1 8085 </dev/null'),
          main: true,
        },
      },
      '--net',
      'none',
    );
    assert.equal(status, 0, stderr);
    assert.deepEqual(linesOf(stdout, 'web').slice(0, 3), ['2 http:control', 'mine', 'asked']);
    const [mode, answer = ''] = linesOf(stdout, 'main');
    assert.equal(mode, '660');
    assert.match(answer, /^hello/);
  });

  it('hooks run before the stop signal, and after the end', async () => {
    const { status, stdout, stderr } = await run({
      a: {
        exec: sh("trap 'echo stops; exit 4' TERM; touch /tmp/up; while :; do sleep 0.02; done"),
        preStop: sh('echo pre $MAINPID'),
        postStop: sh('echo post $EXIT_STATUS'),
      },
      main: { exec: sh(until('/tmp/up')), main: true },
    });
    assert.equal(status, 0, stderr);
    const [first = '', ...rest] = linesOf(stdout, 'a');
    assert.match(first, /^pre \d+$/);
    assert.deepEqual(rest, ['stops', 'post 4']);
  });

  it('five hundred one-shots start and end, each once, before what requires them', async () => {
    const names = Array.from({ length: 500 }, (_, i) => `s${i}`);
    const { status, stdout, stderr } = await run({
      ...Object.fromEntries(
        names.map((name) => [name, { exec: sh(`echo ${name}; mkdir /tmp/ended-${name}`), oneshot: true }]),
      ),
      main: { exec: sh('ls /tmp | grep -c ended-'), requires: names, main: true },
    });
    assert.equal(status, 0, stderr);
    assert.deepEqual(linesOf(stdout, 'main'), ['500']);
    const wanted = [...names.map((name) => `[${name} OUT] ${name}`), '[main OUT] 500'];
    assert.deepEqual(stdout.trimEnd().split('\n').toSorted(), wanted.toSorted());
  });
});
