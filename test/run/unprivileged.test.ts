import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, RANGE } from './support/container.js';

const USER = 61_234;
const skip =
  missingForContainers() ||
  (spawnSync('setpriv', ['--reuid', String(USER), '--clear-groups', 'unshare', '-U', 'true']).status === 0
    ? false
    : 'needs setpriv, and user namespaces for unprivileged users');
const box = bench();
after(() => box[Symbol.dispose]());
chmodSync(box.directory, 0o755);

const wrapper = ['setpriv', '--reuid', String(USER), '--regid', String(USER), '--clear-groups'];
/** A store in bare-user mode is the user's own. */
const own = join(box.directory, 'own', 'rootfs');
if (skip === false) {
  mkdirSync(join(own, '..'));
  spawnSync('cp', ['-a', box.rootfs, own]);
  spawnSync('chown', ['-R', `${USER}:${USER}`, own]);
}
const asUser = (script: string, change: Parameters<typeof box.spec>[0] = {}) =>
  box.sh(script, { userns: 'self', lower: [own], ...change }, { wrapper });

test('an unprivileged caller gets a container with itself as root', { skip }, async () => {
  const { status, stdout, stderr } = await asUser(
    'id -u; cat /proc/self/uid_map | tr -s " "; cat /etc/marker; echo x > /own; cat /own; ls /sys | head -1; exit 5',
  );
  assert.deepEqual([status, stdout, stderr], [5, `0\n 0 ${USER} 1\noriginal\nx\nblock\n`, '']);
});

test('a persistent upper and a bind work, with the caller’s owner on disk', { skip }, async () => {
  const upper = box.persistent();
  const source = mkdtempSync(join(box.directory, 'bind-'));
  for (const path of [join(upper.upper, '..'), upper.upper, upper.work, source]) {
    chmodSync(path, 0o755);
    chownSync(path, USER, USER);
  }
  const mounts = [{ kind: 'bind', source, target: '/mnt/x' } as const];
  await asUser('echo kept > /kept; echo out > /mnt/x/out', { upper, mounts });
  const { stdout, stderr } = await asUser('cat /kept /mnt/x/out', { upper, mounts });
  assert.deepEqual([stdout, stderr], ['kept\nout\n', '']);
  assert.equal(statSync(join(upper.upper, 'kept')).uid, USER);
});

test('it works in the host’s network too, where the host’s /sys is shown without its cgroups', { skip }, async () => {
  const { status, stdout, stderr } = await asUser(
    'ls /sys/fs/cgroup; [ -d /sys/class ] && echo sys; [ -w /sys/class ] && touch /sys/x',
    { net: 'host' },
  );
  assert.equal(stdout, 'sys\n');
  assert.match(stderr, /Read-only file system|^$/);
  assert.notEqual(status, 125, stderr);
});

test('nothing of the tree can be changed, whoever owns it', { skip }, async () => {
  const marker = join(own, 'etc/marker');
  const before = statSync(marker);
  const { stdout } = await asUser('echo x >> /etc/marker; chmod 600 /etc/marker; rm /etc/group; tail -1 /etc/marker');
  assert.equal(stdout, 'x\n');
  assert.deepEqual([statSync(marker).mtimeMs, statSync(marker).mode], [before.mtimeMs, before.mode]);
});

test('another user than root is refused with the reason', { skip }, async () => {
  const { status, stderr } = await asUser('id', { user: 'app' });
  assert.equal(status, 125);
  assert.match(stderr, /unprivileged caller has only user 0/);
});

test('a plan for root is refused', { skip }, async () => {
  const { status, stderr } = await box.sh('id', {}, { wrapper });
  assert.equal(status, 125);
  assert.match(stderr, /made for root/);
});

test('where user namespaces are used up the message names the setting', { skip }, async () => {
  const { status, stderr } = await box.sh(
    'id',
    { userns: 'self' },
    {
      wrapper: ['unshare', '-U', '-r', 'sh', '-c', 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', 'sh'],
    },
  );
  assert.equal(status, 125);
  assert.match(stderr, /user\.max_user_namespaces/);
});

test('a file system without idmapped mounts: a warning says what is weaker, and it runs', { skip }, () => {
  // overlayfs itself has none. In a mount namespace that ends with the test.
  const merged = join(box.directory, 'merged');
  mkdirSync(merged);
  const upper = box.persistent();
  const plan = box.planFile(
    box.spec({ lower: [merged], argv: ['sh', '-c', 'cat /proc/self/uid_map | tr -s " "; id -u; touch /x && echo ok'] }),
  );
  const script = 'mount -t overlay o -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4" && exec "$5" "$6"';
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['-m', 'sh', '-c', script, 'sh', box.rootfs, upper.upper, upper.work, merged, launcherPath(), plan],
    { encoding: 'utf8' },
  );
  assert.deepEqual([status, stdout], [0, ` 0 0 ${RANGE.count}\n0\nok\n`]);
  assert.match(stderr, /^warning: no idmapped mounts on .*merged: .*isolation is weaker/);
});

test('subordinate ids: other users exist, and files of theirs are those ids’ outside', {
  skip: skip || (spawnSync('newuidmap').error === undefined ? false : 'needs newuidmap (package uidmap)'),
}, () => {
  const upper = box.persistent();
  for (const path of [join(upper.upper, '..'), upper.upper, upper.work]) chownSync(path, USER, USER);
  const grant = { start: 1_800_000_000, count: 65_536 };
  const ids = [
    { inside: 0, outside: USER, count: 1 },
    { inside: 1, outside: grant.start, count: 65_535 },
  ];
  const start = (granted: string) => {
    const plan = box.planFile(
      box.spec({
        lower: [own],
        upper,
        userns: { uid: ids, gid: ids, helped: true },
        user: 'app',
        argv: ['sh', '-c', 'id; > /tmp/mine; stat -c %u:%g /tmp/mine /etc/marker; exit 6'],
      }),
    );
    const file = (name: string, content: string) => {
      writeFileSync(join(box.directory, name), content, { mode: 0o644 });
      return join(box.directory, name);
    };
    const passwd = file('passwd', `root:x:0:0::/:/bin/sh\nsomebody:x:${USER}:${USER}::/:/bin/sh\n`);
    const subordinate = file('subid', granted);
    chmodSync(plan, 0o644);
    // Who may use which ids is only changed in a mount namespace of the test's own.
    const script =
      'mount --bind "$1" /etc/passwd && for f in subuid subgid; do : >> /etc/$f; mount --bind "$2" /etc/$f || exit 9; done; ' +
      'exec setpriv --reuid "$3" --regid "$3" --clear-groups "$4" "$5"';
    return spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', passwd, subordinate, `${USER}`, ownLauncher(), plan], {
      encoding: 'utf8',
    });
  };
  const { status, stdout, stderr } = start(`somebody:${grant.start}:${grant.count}\n`);
  assert.deepEqual([status, stdout], [6, 'uid=1000(app) gid=1000(app) groups=2000(extra)\n1000:1000\n0:0\n'], stderr);
  assert.equal(statSync(join(upper.upper, 'tmp/mine')).uid, grant.start + 999);
  const refused = start('');
  assert.equal(refused.status, 125);
  assert.match(refused.stderr, /newuidmap refused; \/etc\/subuid and \/etc\/subgid say which ids may be used/);
});

/** The user need not be able to reach the checkout. */
function ownLauncher(): string {
  const directory = join(box.directory, 'bin');
  mkdirSync(directory, { recursive: true });
  for (const name of ['trees-launch', 'trees-init']) {
    copyFileSync(join(launcherPath(), '..', name), join(directory, name));
  }
  return join(directory, 'trees-launch');
}
