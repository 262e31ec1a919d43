import { linkSync, lstatSync, mkdtempSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import { freeSpace } from '../store/space.js';
import { checkUsable } from '../store/usable.js';
import { getXattr, setXattr } from '../system/index.js';
import { type CheckResult, missing, ok, warn } from './result.js';

const LOW_BYTES = 500_000_000;
const LOW_FILES = 20_000;

/** Whether a store can be at `root`. Nothing stays behind. */
export async function checkStore(root: string): Promise<CheckResult[]> {
  try {
    const exists = await checkUsable(root);
    const { bytes: free, files } = await freeSpace(root);
    const results = [ok('store', 'store', exists ? `${root} is writable` : `${root} can be created`)];
    const megabytes = `${Math.floor(free / 1e6)} MB free`;
    results.push(
      free < LOW_BYTES
        ? warn('store', 'space', megabytes, 'make room: a base alone needs about 200 MB')
        : ok('store', 'space', megabytes),
    );
    if (files !== undefined && files < LOW_FILES)
      results.push(warn('store', 'inodes', `${files} free inodes`, 'make room: a base alone has about 5,000 files'));
    return results;
  } catch (error) {
    if (!(error instanceof TreesError)) throw error;
    return [missing('store', 'store', error.message, error.hint ?? '')];
  }
}

/** What the store needs of its file system, tried in `directory` (empty, on that file system). */
export function checkFileSystem(directory: string, asRoot: boolean): CheckResult[] {
  return [checkHardLinks(directory), checkAttributes(directory, asRoot)];
}

function checkHardLinks(directory: string): CheckResult {
  const [a, b] = [join(directory, 'a'), join(directory, 'b')];
  try {
    writeFileSync(a, 'x');
    linkSync(a, b);
    const same = lstatSync(a).ino === lstatSync(b).ino;
    unlinkSync(b);
    if (!same) throw new Error('a link is a copy');
    return ok('store', 'hard-links', 'the file system has hard links');
  } catch (error) {
    return missing(
      'store',
      'hard-links',
      reasonOf(error),
      'keep the store on a file system with hard links (ext4, xfs, btrfs)',
    );
  }
}

/** A user's repository keeps owners and modes in attributes; root's needs them for file capabilities only. */
function checkAttributes(directory: string, asRoot: boolean): CheckResult {
  const file = join(directory, 'attributes');
  try {
    writeFileSync(file, '');
    setXattr(file, 'user.trees', Buffer.from('x'));
    if (getXattr(file, 'user.trees')?.toString() !== 'x') throw new Error('an attribute is not kept');
    return ok('store', 'attributes', 'the file system has extended attributes');
  } catch (error) {
    const hint = 'keep the store on a file system with user extended attributes';
    return (asRoot ? warn : missing)('store', 'attributes', reasonOf(error), hint);
  }
}

/** Makes a temporary directory on the file system where the store is or would be; undefined where nothing may be written. */
export function probeDirectory(root: string): string | undefined {
  for (let at = root; ; at = dirname(at)) {
    try {
      if (statSync(at).isDirectory()) return mkdtempSync(join(at, '.trees-check-'));
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) return undefined;
    }
    if (at === dirname(at)) return undefined;
  }
}
