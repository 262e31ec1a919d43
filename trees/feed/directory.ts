import { open as openFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import type { Feed, FeedFile, OpenOptions } from './feed.js';

function unreachable(path: string, cause: unknown): TreesError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TreesError('FEED_UNREACHABLE', `cannot read ${path}: ${why}`, {
    hint: 'is it the right directory, and may you read it?',
    cause,
  });
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw unreachable(path, error);
  }
}

/** A feed in a directory: a disk, a share, a memory stick. */
export function directoryFeed(path: string, url = `dir:${path}`): Feed {
  async function open(file: string, { offset = 0, length, signal }: OpenOptions = {}): Promise<FeedFile | undefined> {
    signal?.throwIfAborted();
    const name = join(path, file);
    try {
      const handle = await openFile(name, 'r');
      const end = length === undefined ? {} : { end: offset + length - 1 };
      const abort = signal === undefined ? {} : { signal };
      return { stream: handle.createReadStream({ start: offset, ...end, ...abort }), offset };
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw unreachable(name, error);
      if (await isDirectory(path)) return undefined;
      throw new TreesError('FEED_UNREACHABLE', `cannot read the feed ${url}: ${path} is not a directory`, {
        hint: 'is the disk mounted?',
        cause: error,
      });
    }
  }
  return { url, open, localPath: (file) => join(path, file) };
}
