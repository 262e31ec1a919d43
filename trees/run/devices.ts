import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { noteUnknowable } from '../inputs.js';
import type { DeviceSpec } from './security.js';

/** What every container has already, and terminals, which are the host's own. */
const LEFT_OUT = /^\/dev\/(null|zero|full|random|urandom|tty.*|console|ptmx|pts|shm|mqueue|fd|std.*|core|vcs.*)$/;

/** The host's devices that `--privileged` shows. */
export function hostDevices(directory = '/dev', depth = 2): DeviceSpec[] {
  noteUnknowable('which devices there are');
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
      const path = join(directory, entry.name);
      if (LEFT_OUT.test(path)) return [];
      if (entry.isDirectory()) return depth === 0 ? [] : hostDevices(path, depth - 1);
      return entry.isCharacterDevice() || entry.isBlockDevice() ? [{ source: path, target: path }] : [];
    });
  } catch (error) {
    if (isErrno(error, 'EACCES', 'ENOENT')) return [];
    throw error;
  }
}
