import { closeSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';

const SECONDS_A_DAY = 86_400;

/**
 * Makes the content of files that record when they were written independent of the clock, in place.
 *
 * - `/etc/shadow`: the day of the last password change becomes that of `epoch`, for accounts that `lower` lacks or has
 *   with another day.
 * - Python byte code: the recorded time of the source becomes 0, which is the time that files have in a checkout, so that
 *   the byte code is also valid there.
 *
 * @param path inside the image
 * @param file on this machine, a regular file
 * @param options.epoch seconds since the epoch
 * @param options.lower the same file below, if there is one
 */
export function normaliseFile(path: string, file: string, options: { epoch: number; lower?: string }): void {
  if (path === '/etc/shadow') {
    const below = options.lower === undefined ? '' : readFileSync(options.lower, 'utf8');
    const before = readFileSync(file, 'utf8');
    const after = normaliseShadow(before, below, options.epoch);
    if (after !== before) writeFileSync(file, after);
  } else if (path.endsWith('.pyc')) normalisePyc(file);
}

/** shadow(5): name, password, day of the last change, … */
function normaliseShadow(content: string, below: string, epoch: number): string {
  const days = new Map(below.split('\n').map((line) => [line.split(':')[0] ?? '', line.split(':')[2] ?? '']));
  return content
    .split('\n')
    .map((line) => {
      const fields = line.split(':');
      if (!/^[1-9]\d*$/.test(fields[2] ?? '') || days.get(fields[0] ?? '') === fields[2]) return line;
      fields[2] = String(Math.floor(epoch / SECONDS_A_DAY));
      return fields.join(':');
    })
    .join('\n');
}

/** PEP 552: magic number (ending in CR LF), flags, then for flags 0 the time and size of the source. */
function normalisePyc(file: string): void {
  const fd = openSync(file, 'r+');
  try {
    const header = Buffer.alloc(16);
    if (readSync(fd, header, 0, header.length, 0) < header.length) return;
    const timestamped = header.readUInt16LE(2) === 0x0a0d && header.readUInt32LE(4) === 0;
    if (timestamped && header.readUInt32LE(8) !== 0) writeSync(fd, Buffer.alloc(4), 0, 4, 8);
  } finally {
    closeSync(fd);
  }
}
