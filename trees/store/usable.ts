import { access, constants, mkdir, readdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import { isOstreeError } from '../ostree/errors.js';

/** What may lie in a store's root. Anything else means that the directory is somebody else's. */
const KNOWN = new Set(['repo', 'apps', 'data', 'feeds', 'downloads', 'locks', 'run', 'build', 'lost+found']);

/**
 * Checks that a store is or could be at `root`, without changing anything.
 * @returns whether the directory is there
 * @throws TreesError STORE_UNUSABLE naming the path and the reason
 */
export async function checkUsable(root: string): Promise<boolean> {
  const info = await statOrUndefined(root);
  if (info === undefined) {
    await checkCreatable(root);
    return false;
  }
  if (!info.isDirectory()) throw unusable(root, 'it is not a directory');
  const uid = process.geteuid?.() ?? 0;
  if (info.uid !== uid) {
    throw unusable(
      root,
      `it belongs to user ${info.uid}, not to user ${uid}`,
      uid === 0 ? `run as its owner, or chown it to root` : 'run as its owner, or use --user for your own store',
    );
  }
  await checkWritable(root, root);
  const entries = await readdir(root);
  const foreign = entries.find((entry) => !KNOWN.has(entry) && !entry.startsWith('.'));
  if (foreign !== undefined && !entries.includes('repo')) {
    throw unusable(root, `it is not a store and not empty ("${foreign}" is in it)`, 'choose an empty directory');
  }
  return true;
}

/** Creates a store's root, readable for its owner only; its parents as usual. */
export async function createRoot(root: string): Promise<void> {
  await mkdir(dirname(root), { recursive: true });
  try {
    await mkdir(root, { mode: 0o700 });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw unusableBecause(root, error);
  }
}

async function checkCreatable(root: string): Promise<void> {
  let parent = dirname(root);
  let info = await statOrUndefined(parent);
  while (info === undefined && parent !== dirname(parent)) {
    parent = dirname(parent);
    info = await statOrUndefined(parent);
  }
  if (info?.isDirectory() !== true) throw unusable(root, `${parent} is not a directory`);
  await checkWritable(root, parent);
}

async function checkWritable(root: string, directory: string): Promise<void> {
  try {
    await access(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    if (isErrno(error, 'EROFS')) throw unusable(root, `${directory} is on a read-only file system`);
    if (isErrno(error, 'EACCES', 'EPERM')) {
      throw unusable(root, `${directory} is not writable`, 'run as root, or use --user for your own store');
    }
    throw unusable(root, reasonOf(error));
  }
}

async function statOrUndefined(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw unusable(path, isErrno(error, 'EACCES') ? 'no permission to look at it' : reasonOf(error));
  }
}

export function unusable(path: string, why: string, hint?: string): TreesError {
  return new TreesError('STORE_UNUSABLE', `cannot use the store ${path}: ${why}`, {
    hint: hint ?? 'trees check looks at everything a store needs',
    details: { path },
  });
}

/** As `unusable`, for what was thrown while something in the store was made. @param doing what that was */
export function unusableBecause(path: string, cause: unknown, doing?: string): TreesError {
  const reason = reasonOf(cause);
  const why = doing === undefined ? reason : `${doing} (${reason})`;
  if (!isErrno(cause, 'ENOSPC', 'EDQUOT') && !isOstreeError(cause, 'noSpace')) return unusable(path, why);
  return new TreesError('NO_SPACE', `cannot use the store ${path}: ${why}`, {
    hint: 'free some space there, or put the store elsewhere with --root',
    cause,
    details: { path },
  });
}
