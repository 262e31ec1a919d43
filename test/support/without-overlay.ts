import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** Programs that a file system is made with on which the kernel refuses an overlay's upper directory. */
const NEEDED = ['bindfs', 'fuse-overlayfs', 'setpriv', 'nsenter', 'unshare'];

/** Why there cannot be such a machine; `false` when there can. For `{ skip }`. */
export function missingForRefusal(): string | false {
  const missing = NEEDED.filter((program) => spawnSync('which', [program]).status !== 0);
  if (missing.length > 0) return `needs ${missing.join(', ')} (packages bindfs, fuse-overlayfs, util-linux)`;
  if (!existsSync('/dev/fuse')) return 'needs /dev/fuse';
  const user = ['--reuid', '61234', '--clear-groups', 'unshare', '-U', 'true'];
  return spawnSync('setpriv', user).status === 0 ? false : 'needs user namespaces for unprivileged users';
}

/** A mount namespace in which a user can open /dev/fuse, and a directory is shown by a file system of bindfs's. */
export interface WithoutOverlay extends AsyncDisposable {
  /** The file system: what is written below it is in `backing`, which all can see. */
  readonly place: string;
  readonly backing: string;
  /** Words before a command that is to run in there as the user. */
  readonly wrapper: readonly string[];
  /** Words before a shell script that is to run in there as root, with `$1`… after it. */
  readonly asRoot: readonly string[];
}

/** The device is root's alone on some machines. */
const PREPARE = `
mount -t tmpfs tmpfs "$1" && mknod -m 666 "$1/fuse" c 10 229 || exit
exec setpriv --pdeathsig KILL bindfs -f "$2" "$3"
`;

/**
 * @param parent directory to make it in, where the user can go
 * @param user number of the user
 */
export async function withoutOverlay(parent: string, user: number): Promise<WithoutOverlay> {
  const [devices, backing, place] = ['devices', 'backing', 'place'].map((name) => join(parent, name));
  if (devices === undefined || backing === undefined || place === undefined) throw new Error('three names');
  for (const directory of [devices, backing, place]) mkdirSync(directory, { mode: 0o755 });
  spawnSync('chown', [`${user}:${user}`, backing]);
  const server = spawn('unshare', ['-m', 'sh', '-c', PREPARE, 'sh', devices, backing, place], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const enter = ['nsenter', '-m', '-t', String(server.pid)];
  await mounted(server, enter, place);
  // Over the machine's own, which root's server has used by now.
  const covered = spawnSync('nsenter', [...enter.slice(1), 'mount', '--bind', join(devices, 'fuse'), '/dev/fuse']);
  if (covered.status !== 0) throw new Error(`cannot mount a device: ${covered.stderr.toString()}`);
  return {
    place,
    backing,
    wrapper: [...enter, 'setpriv', '--reuid', String(user), '--regid', String(user), '--clear-groups'],
    asRoot: enter,
    async [Symbol.asyncDispose]() {
      if (server.exitCode !== null || server.signalCode !== null) return;
      const ended = once(server, 'exit');
      server.kill('SIGTERM');
      await ended;
    },
  };
}

async function mounted(server: ChildProcess, enter: readonly string[], place: string): Promise<void> {
  let words = '';
  server.stderr?.on('data', (chunk: Buffer) => (words += chunk.toString()));
  for (let tries = 0; tries < 500; tries++) {
    if (server.exitCode !== null) break;
    if (spawnSync(enter[0] ?? '', [...enter.slice(1), 'mountpoint', '-q', place]).status === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  server.kill('SIGKILL');
  throw new Error(`bindfs did not mount: ${words}`);
}
