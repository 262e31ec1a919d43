import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK = 1 << 18;

/** Whether two regular files of equal size hold the same bytes. Reads them in pieces: memory does not grow with size. */
export function sameContent(a: string, b: string): boolean {
  const left = openSync(a, 'r');
  try {
    const right = openSync(b, 'r');
    try {
      return sameDescriptors(left, right);
    } finally {
      closeSync(right);
    }
  } finally {
    closeSync(left);
  }
}

/** SHA-256 of a file in hexadecimal. Reads it in pieces too. */
export function digestFileSync(path: string): string {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(CHUNK);
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const read = readSync(fd, buffer, 0, buffer.length, null);
      if (read === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, read));
    }
  } finally {
    closeSync(fd);
  }
}

function sameDescriptors(left: number, right: number): boolean {
  const first = Buffer.allocUnsafe(CHUNK);
  const second = Buffer.allocUnsafe(CHUNK);
  for (let position = 0; ; ) {
    const read = readFully(left, first, position);
    if (read !== readFully(right, second, position)) return false;
    if (!first.subarray(0, read).equals(second.subarray(0, read))) return false;
    if (read < CHUNK) return true;
    position += read;
  }
}

function readFully(fd: number, buffer: Buffer, position: number): number {
  let done = 0;
  while (done < buffer.length) {
    const read = readSync(fd, buffer, done, buffer.length - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}
