import { type FileHandle, open as openFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import type { ByteStream, Feed, FeedFile, OpenOptions } from './feed.js';

const CHUNK = 256 * 1024;

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

/**
 * Bytes of an open file, which is closed at the end or when they are given up. Less than Node's own streams do, whose
 * first use takes longer than all else that is read of a feed.
 * @param end where to stop; undefined: at the file's end
 */
function byteStream(
  handle: FileHandle,
  { start, end = Number.POSITIVE_INFINITY, signal }: { start: number; end?: number; signal: AbortSignal | undefined },
): ByteStream {
  async function* read(): AsyncGenerator<Buffer, void> {
    try {
      for (let position = start; position < end; ) {
        signal?.throwIfAborted();
        const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK, end - position));
        const { bytesRead } = await handle.read(chunk, 0, chunk.length, position);
        if (bytesRead === 0) return;
        position += bytesRead;
        yield chunk.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  }
  const bytes = read();
  return {
    [Symbol.asyncIterator]: () => bytes,
    // A generator that was not begun has nothing to finish.
    destroy: () => void handle.close().catch(() => undefined),
  };
}

/** A feed in a directory: a disk, a share, a memory stick. */
export function directoryFeed(path: string, url = `dir:${path}`): Feed {
  async function open(file: string, { offset = 0, length, signal }: OpenOptions = {}): Promise<FeedFile | undefined> {
    signal?.throwIfAborted();
    const name = join(path, file);
    try {
      const handle = await openFile(name, 'r');
      const end = length === undefined ? {} : { end: offset + length };
      return { stream: byteStream(handle, { start: offset, ...end, signal }), offset };
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
