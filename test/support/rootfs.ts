import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BUSYBOX = '/bin/busybox';

/** Why trees cannot be built or run on this machine in this test run; `false` when they can. For `{ skip }`. */
export function missingForContainers(options: { root?: boolean } = {}): string | false {
  if (!existsSync(BUSYBOX)) return `${BUSYBOX} is missing (package busybox-static)`;
  if ((options.root ?? true) && process.getuid?.() !== 0) return 'needs root';
  return false;
}

const applets = (
  'sh cat ls echo id ps sleep kill true false env hostname mount umount readlink touch stat test grep head tail wc tr ' +
  'cut dd df mkdir rm ln mknod chmod chown setsid nice tty stty date yes seq basename dirname find sort uname unshare ' +
  'ip ifconfig ping nc printf pwd ulimit usleep timeout ipcs dmesg su pidof'
).split(' ');

/** A small tree made of the host's static busybox, as a directory below `parent` (default: a new temporary one). */
export function makeRootfs(parent = mkdtempSync(join(tmpdir(), 'trees-rootfs-'))): string {
  const root = join(parent, 'rootfs');
  for (const directory of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'root', 'run', 'usr/bin', 'home/app']) {
    mkdirSync(join(root, directory), { recursive: true });
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  cpSync(BUSYBOX, join(root, 'bin/busybox'));
  chmodSync(join(root, 'bin/busybox'), 0o755);
  for (const applet of applets) symlinkSync('busybox', join(root, 'bin', applet));
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:App:/home/app:/bin/sh\ndaemon:x:1:1::/:/bin/false\n',
  );
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\napp:x:1000:\nextra:x:2000:app,daemon\nother:x:2001:daemon\n');
  writeFileSync(join(root, 'etc/marker'), 'original\n');
  writeFileSync(join(root, 'etc/notexec'), 'text\n');
  return root;
}
