import { isErrno, TreesError } from '../errors.js';
import { isProcessAlive } from './instance-state.js';
import type { Instance } from './instances.js';
import { openSafeDirectory, type SafeDirectory } from './safe-directory.js';

/** Where a path in a container leads: a name in a directory that is held, or the root itself. */
export interface Place extends Disposable {
  readonly directory: SafeDirectory;
  /** Undefined: the directory itself (`/`, or what ends in `/.`). */
  readonly name: string | undefined;
}

const MAX_LINKS = 40;

/**
 * The root of a running container, mounts included, through its first process. Nothing in it is looked up by the kernel
 * on its own: see `resolveIn`.
 * @throws TreesError INSTANCE_NOT_RUNNING, UNSUPPORTED
 */
export function openRunningRoot({ name, state }: Instance): SafeDirectory {
  const { init, overlay } = state ?? {};
  const gone = (): TreesError =>
    new TreesError('INSTANCE_NOT_RUNNING', `cannot copy: ${name} has just ended`, { hint: 'try it again' });
  if (init === undefined) throw gone();
  try {
    const root = openSafeDirectory(`/proc/${init.pid}/root/`);
    // It was the right one when it was opened, if it still is.
    if (isProcessAlive(init)) return root;
    root[Symbol.dispose]();
    throw gone();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) throw gone();
    // The kernel shows it to nobody outside of the container's user namespace.
    if (isErrno(error, 'EACCES') && overlay === 'fuse-overlayfs') {
      throw new TreesError('UNSUPPORTED', `cannot copy: ${name} runs, on a tree by fuse-overlayfs`, {
        hint: `stop it first, or copy inside: trees exec ${name} -- tar -c PATH`,
      });
    }
    throw error;
  }
}

export interface ResolveOptions {
  /** What a symlink at the end of the path leads to, instead of the link. */
  readonly follow: boolean;
}

/**
 * Follows a path inside a root, symlinks included, as a process that has it as its root would: `..` stops there, and
 * absolute links begin there. The last name need not exist, unless it is followed and is a link.
 * @param root stays open
 * @throws TreesError PATH_CONFLICT when a directory on the way does not exist, or links lead in circles
 */
export function resolveIn(root: SafeDirectory, path: string, { follow }: ResolveOptions): Place {
  const stack: SafeDirectory[] = [];
  const top = (): SafeDirectory => stack.at(-1) ?? root;
  const release = (from = 0): void => {
    for (const directory of stack.splice(from)) directory[Symbol.dispose]();
  };
  let names = path.split('/').filter((name) => name !== '' && name !== '.');
  let links = 0;
  try {
    for (;;) {
      const name = names.shift();
      if (name === undefined) return placeOf(stack, root, undefined);
      if (name === '..') {
        release(Math.max(0, stack.length - 1));
        continue;
      }
      const stats = top().look(name);
      const last = names.length === 0;
      if (stats?.isSymbolicLink() === true && (!last || follow)) {
        if (++links > MAX_LINKS) throw unresolved(path, 'symbolic links lead in circles');
        const target = top().readLink(name);
        if (target.startsWith('/')) release();
        names = [...target.split('/').filter((part) => part !== '' && part !== '.'), ...names];
        continue;
      }
      if (last) return placeOf(stack, root, name);
      const next = stats?.isDirectory() === true ? top().enter(name) : undefined;
      if (next === undefined)
        throw unresolved(path, `${name} is ${stats === undefined ? 'not there' : 'no directory'}`);
      stack.push(next);
    }
  } catch (error) {
    release();
    throw error;
  }
}

/** Keeps the last directory; the ones on the way to it are let go. */
function placeOf(stack: SafeDirectory[], root: SafeDirectory, name: string | undefined): Place {
  const own = stack.pop();
  for (const directory of stack) directory[Symbol.dispose]();
  const directory = own ?? openAgain(root);
  return { directory, name, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

function openAgain(directory: SafeDirectory): SafeDirectory {
  const again = directory.enter('.');
  if (again === undefined) throw new Error('the root is no directory any more');
  return again;
}

function unresolved(path: string, why: string): TreesError {
  return new TreesError('PATH_CONFLICT', `cannot find ${path} in the container: ${why}`, { details: { path } });
}
