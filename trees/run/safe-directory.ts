import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  type Stats,
} from 'node:fs';
import { isErrno } from '../errors.js';
import { getXattr } from '../system/index.js';

/**
 * A directory by descriptor, for trees whose content somebody else may change meanwhile: every name is looked up in the
 * directory that is held, and no symlink is followed.
 */
export interface SafeDirectory extends Disposable {
  readonly fd: number;
  own(): Stats;
  /** Sorted. */
  names(): string[];
  /** What is there by that name, itself if it is a symlink; undefined if nothing is. */
  look(name: string): Stats | undefined;
  /** The directory of that name, `.` for the same again; undefined if it is none. */
  enter(name: string): SafeDirectory | undefined;
  readLink(name: string): string;
  /** A path that means this entry as long as the directory is held. */
  path(name: string): string;
  /** Makes an entry. The path means it as long as the directory is held. */
  make<T>(name: string, how: (path: string) => T): T;
  /** Removes an entry that is no directory. */
  remove(name: string): void;
  /** An attribute of the directory itself. */
  attribute(name: string): string | undefined;
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;

/** Opens the first directory of a tree, the path of which is the caller's. */
export function openSafeDirectory(path: string): SafeDirectory {
  return heldDirectory(openSync(path, DIRECTORY));
}

function heldDirectory(fd: number): SafeDirectory {
  const own = `/proc/self/fd/${fd}`;
  let open = true;
  const path = (name: string): string => {
    if (name === '' || name === '.' || name === '..' || name.includes('/')) {
      throw new TypeError(`Expected a name in a directory, got ${JSON.stringify(name)}`);
    }
    return `${own}/${name}`;
  };
  return {
    fd,
    path,
    own: () => fstatSync(fd),
    names: () => readdirSync(own).sort(),
    look: (name) => lstatOf(path(name)),
    readLink: (name) => readlinkSync(path(name)),
    enter(name) {
      try {
        return heldDirectory(openSync(name === '.' ? `${own}/.` : path(name), DIRECTORY | constants.O_NOFOLLOW));
      } catch (error) {
        if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
        throw error;
      }
    },
    make: (name, how) => how(path(name)),
    remove: (name) => rmSync(path(name)),
    // The link stands for the directory; by "." the attribute is the directory's, not the link's.
    attribute: (name) => getXattr(`${own}/.`, name)?.toString('utf8'),
    [Symbol.dispose]: () => {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
