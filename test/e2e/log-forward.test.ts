import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createInstanceRig, type InstanceRig } from '../support/instance-rig.js';
import { projectRoot } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';

const JOURNALD = '/lib/systemd/systemd-journald';

const skip = missingForContainers();

/**
 * Output that is forwarded, as the daemons themselves understand it. Each has a mount namespace of its own, with a `/run` and
 * a `/dev` where its sockets are, and `trees` runs in there, too: nothing on this machine changes.
 */
describe('output forwarded to the machine’s log', { skip }, () => {
  let rig: InstanceRig;
  before(async () => {
    rig = await createInstanceRig();
    rig.install('tool', {});
    rig.install('pair', {
      services: {
        a: { exec: ['sh', '-c', 'echo from a; echo "a complains" >&2'], restart: 'never' },
        b: { exec: ['sh', '-c', 'sleep 0.3; echo from b; printf unfinished'], main: true },
      },
    });
  });
  after(() => rig[Symbol.asyncDispose]());

  /** A shell script where `trees` and `$out`, a directory that outlives the namespace, can be used. */
  async function apart(script: string): Promise<{ status: number | null; output: string; out: string }> {
    const out = rig.path(`out-${Math.random().toString(36).slice(2)}`);
    mkdirSync(out);
    const file = join(out, 'script');
    writeFileSync(
      file,
      `set -eu
      out=${out}
      trees() { "${process.execPath}" "${join(projectRoot, 'dist/cli/bin.js')}" "$@"; }
      wait_for() { i=0; until eval "$1"; do i=$((i + 1)); [ $i -lt 600 ] || { echo "waited in vain: $1"; exit 1; }; sleep 0.1; done; }
      mkdir $out/dev
      mount --rbind /dev $out/dev
      mount -t tmpfs tmpfs /dev
      for name in null zero full random urandom tty kmsg; do
        [ -e $out/dev/$name ] || continue
        touch /dev/$name
        mount --bind $out/dev/$name /dev/$name
      done
      mkdir /dev/shm /dev/pts
      mount --rbind $out/dev/pts /dev/pts
      ln -s pts/ptmx /dev/ptmx
      ln -s /proc/self/fd /dev/fd
      mount -t tmpfs -o mode=755 tmpfs /run
      ${script}`,
    );
    // The processes that it leaves behind are ended with the namespace of process ids.
    const words = ['--mount', '--pid', '--fork', '--mount-proc', '--kill-child', '--propagation=private', 'sh', file];
    const child = spawn('unshare', words, {
      cwd: rig.dir,
      env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined, TREES_ROOT: rig.root, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 120_000,
      killSignal: 'SIGKILL',
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { status, output, out };
  }

  it('reaches journald with fields to find it by, what errors are included', {
    skip: existsSync(JOURNALD) ? false : `${JOURNALD} is missing (package systemd)`,
  }, async () => {
    const { status, output, out } = await apart(`
      mkdir -p /run/systemd/journal /run/log/journal
      ${JOURNALD} &
      wait_for '[ -S /run/systemd/journal/socket ]'
      trees run -d --log-driver journald pair
      trees wait pair
      head -c 20000 /dev/zero | tr '\\0' x >$out/long
      trees run --rm --log-driver journald --name long -v $out/long:/long:ro tool -- cat /long >/dev/null
      journal() { journalctl -D /run/log/journal -o json --all --no-pager "$@"; }
      journalctl --sync 2>/dev/null || true
      wait_for 'journal TREES_INSTANCE=pair | grep -q unfinished'
      wait_for '[ "$(journal TREES_INSTANCE=long | wc -l)" -ge 2 ]'
      journal TREES_INSTANCE=pair >$out/pair.json
      journal TREES_INSTANCE=long >$out/long.json
      trees logs pair >$out/stored`);
    assert.equal(status, 0, output);
    const entries = (name: string): Record<string, unknown>[] =>
      readFileSync(join(out, name), 'utf8')
        .trim()
        .split('\n')
        .map((line) => Object(JSON.parse(line)));
    const wanted = ['TREES_SERVICE', 'SYSLOG_IDENTIFIER', 'CONTAINER_NAME', 'PRIORITY', 'MESSAGE', '_TRANSPORT'];
    const found = entries('pair.json').map((entry) => wanted.map((name) => entry[name]).join(' '));
    assert.deepEqual(found.toSorted(), [
      'a a pair 3 a complains journal',
      'a a pair 6 from a journal',
      'b b pair 6 from b journal',
      'b b pair 6 unfinished journal',
    ]);
    const long = entries('long.json');
    assert.deepEqual(
      long.map((entry) => [String(entry['MESSAGE']).length, entry['CONTAINER_PARTIAL_MESSAGE']]),
      [
        [16_384, 'true'],
        [20_000 - 16_384, 'true'],
      ],
    );
    assert.match(readFileSync(join(out, 'stored'), 'utf8'), /\[b OUT\] from b/, 'it is kept in files, too');
  });

  it('reaches a syslog daemon in the format of RFC 3164', async () => {
    const { status, output, out } = await apart(`
      /bin/busybox syslogd -n -O $out/messages &
      wait_for '[ -S /dev/log ]'
      trees run -d --log-driver syslog pair
      trees wait pair
      wait_for 'grep -q unfinished $out/messages'`);
    assert.equal(status, 0, output);
    const lines = readFileSync(join(out, 'messages'), 'utf8').trim().split('\n');
    const ours = lines.filter((line) => line.includes('pair/'));
    // The daemon has taken the head apart: what it writes are its own time and host, and facility and severity by name.
    const parts = ours.map((line) =>
      /^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ (\w+\.\w+) (pair\/\w: .*)$/.exec(line)?.slice(1),
    );
    assert.deepEqual(parts.map((part) => part?.join(' ') ?? '').toSorted(), [
      'daemon.err pair/a: a complains',
      'daemon.info pair/a: from a',
      'daemon.info pair/b: from b',
      'daemon.info pair/b: unfinished',
    ]);
  });

  it('warns where there is nobody to take it, and runs all the same', async () => {
    for (const [driver, socket] of [
      ['journald', '/run/systemd/journal/socket'],
      ['syslog', '/dev/log'],
    ] as const) {
      const { status, output } = await apart(`trees run --rm --log-driver ${driver} tool -- echo fine`);
      assert.equal(status, 0, output);
      assert.match(output, new RegExp(`the log is not forwarded to ${driver}: ${socket}: No such file or directory`));
      assert.match(output, /fine/);
    }
  });
});
